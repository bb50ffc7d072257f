// Scans of bit planes, a thread for each code. Words of 32 bits of the 32 codes of a block lie side by side:
//
//   level a, block n:   | word 0 of 32 codes | word 1 of 32 codes | ...
//
// so that a warp reads 128 bytes that follow each other, and the planes of the query come from shared memory.

// A part of a list that one block of threads scans, for one query.
struct ScanItem {
    u32 query, list, first_row, end_row;
    // Where what is known of its rows is written; that of row r at out + r - first_row.
    u64 out;
};

// Copies the planes of a query, WIDTH times `words` words, into shared memory.
static __device__ void load_query(u32 *shared, const u32 *queries, u32 query, int words) {
    const u32 *planes = queries + (u64)query * WIDTH * words;
    for (int i = threadIdx.x; i < WIDTH * words; i += blockDim.x) shared[i] = planes[i];
    __syncthreads();
}

static __device__ const u32 *code_at(const u32 *planes, u32 row, int words) {
    return planes + ((u64)(row / BLOCK_ROWS) * words) * BLOCK_ROWS + row % BLOCK_ROWS;
}

// Scores of all codes for each query; blockIdx.y is the query. Dynamic shared memory: the planes of a query.
extern "C" __global__ void score_codes(const u32 *planes, u64 level_stride, const u32 *queries, int words, int dims,
                                       u32 rows, int *scores) {
    DYNAMIC_SHARED(u32, query);
    load_query(query, queries, blockIdx.y, words);
    u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows)
        scores[(u64)blockIdx.y * rows + row] = score_code(code_at(planes, row, words), level_stride, query, words, dims);
}

// Scores the rows of a part of a list, a block of threads each, and keeps the best lower bounds.
//
// Of each row its score and its upper bound are written; the score of one that the mask leaves out is ROW_IS_OUT.
// A mask has a word for 32 rows; without one it is null. Of each item `wanted` keys are written, by lower bound.
// Dynamic shared memory: 2 * capacity keys, then the planes of a query.
extern "C" __global__ void scan_lists(const u32 *planes, u64 level_stride, const float *add, const u16 *rescale,
                                      const u16 *error, const u32 *queries, const ScanItem *items, const Terms *terms,
                                      const u32 *mask, int words, int dims, u32 wanted, u32 capacity, int *scores,
                                      float *uppers, u64 *keys) {
    DYNAMIC_SHARED(u64, shared);
    __shared__ u32 arrived;
    ScanItem item = items[blockIdx.x];
    u32 *query = (u32 *)(shared + 2 * capacity);
    load_query(query, queries, item.query, words);
    Selection selection = begin_selection(shared, &arrived, capacity);
    Terms of_list = terms[item.list];
    // Whole blocks of codes, so that the rows of a warp are those of one.
    u32 first = item.first_row / BLOCK_ROWS * BLOCK_ROWS;
    for (u32 from = first; from < item.end_row; from += blockDim.x) {
        u32 row = from + threadIdx.x;
        u64 key = 0;
        if (row >= item.first_row && row < item.end_row) {
            u64 out = item.out + (row - item.first_row);
            if (mask && !(mask[row / BLOCK_ROWS] >> (row % BLOCK_ROWS) & 1)) {
                scores[out] = ROW_IS_OUT;
            } else {
                int score = score_code(code_at(planes, row, words), level_stride, query, words, dims);
                Estimate found = estimate(score, add[row], half_to_float(rescale[row]), half_to_float(error[row]), of_list);
                float upper = found.similarity + found.error, lower = found.similarity - found.error;
                scores[out] = score;
                // What is not a number could be anything.
                uppers[out] = is_nan(upper) ? INFINITE : upper;
                key = key_of(is_nan(lower) ? -INFINITE : lower, row);
            }
        }
        offer(selection, key, wanted);
    }
    finish_selection(selection, wanted, keys + (u64)blockIdx.x * wanted);
}

// A row that may be among the best.
struct Survivor {
    u32 row;
    int score;
};

// Gathers the rows whose upper bound reaches the `wanted`-th best lower bound of their query, or its floor if that is
// higher (its floor alone unless `prunes`): in any order, `room` of each query at most; `counts` says how many there are, those without room included.
extern "C" __global__ void collect(const ScanItem *items, const int *scores, const float *uppers, const u64 *best,
                                   const float *floors, u32 wanted, int prunes, u32 room, u32 *counts,
                                   Survivor *survivors) {
    ScanItem item = items[blockIdx.x];
    u64 last = prunes ? best[(u64)item.query * wanted + wanted - 1] : 0;
    float threshold = floors[item.query];
    if (last != 0 && score_of(last) > threshold) threshold = score_of(last);
    for (u32 row = item.first_row + threadIdx.x; row < item.end_row; row += blockDim.x) {
        u64 at = item.out + (row - item.first_row);
        if (scores[at] == ROW_IS_OUT || uppers[at] < threshold) continue;
        u32 slot = atomicAdd(counts + item.query, 1u);
        if (slot < room) {
            Survivor survivor = {row, scores[at]};
            survivors[(u64)item.query * room + slot] = survivor;
        }
    }
}
