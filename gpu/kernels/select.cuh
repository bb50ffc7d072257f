// The best keys that the threads of a block have seen, in shared memory.
//
//   | best: sorted, falling | arrivals, in any order |
//     capacity keys           capacity keys
//
// Keys that beat the worst of the best are appended; when the next round of the block might not fit, everything is
// sorted and the better half kept. Keys are unique, so what is kept does not depend on the order of arrival.

// Sorts 2^n keys, largest first. All threads of the block take part.
static __device__ void sort_falling(u64 *keys, u32 count) {
    for (u32 run = 2; run <= count; run *= 2)
        for (u32 distance = run / 2; distance > 0; distance /= 2) {
            __syncthreads();
            for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
                u32 other = i ^ distance;
                if (other > i) {
                    bool falling = (i & run) == 0;
                    u64 a = keys[i], b = keys[other];
                    if (falling ? a < b : a > b) {
                        keys[i] = b;
                        keys[other] = a;
                    }
                }
            }
        }
    __syncthreads();
}

// State that all threads share; `capacity` is a power of two, at least the threads of the block and the keys wanted.
struct Selection {
    u64 *keys;
    u32 *arrived;
    u32 capacity;
};

static __device__ Selection begin_selection(u64 *keys, u32 *arrived, u32 capacity) {
    for (u32 i = threadIdx.x; i < 2 * capacity; i += blockDim.x) keys[i] = 0;
    if (threadIdx.x == 0) *arrived = 0;
    __syncthreads();
    Selection selection = {keys, arrived, capacity};
    return selection;
}

static __device__ void settle(Selection selection) {
    sort_falling(selection.keys, 2 * selection.capacity);
    for (u32 i = threadIdx.x; i < selection.capacity; i += blockDim.x) selection.keys[selection.capacity + i] = 0;
    if (threadIdx.x == 0) *selection.arrived = 0;
    __syncthreads();
}

// Offers one key of each thread, 0 for none; `wanted` keys are kept. All threads of the block take part.
static __device__ void offer(Selection selection, u64 key, u32 wanted) {
    if (key > selection.keys[wanted - 1]) {
        u32 slot = atomicAdd(selection.arrived, 1u);
        selection.keys[selection.capacity + slot] = key;
    }
    __syncthreads();
    bool full = *selection.arrived + blockDim.x > selection.capacity;
    // Whoever goes on may add to what the others have yet to read.
    __syncthreads();
    if (full) settle(selection);
}

// Sorts what is left and writes the best keys.
static __device__ void finish_selection(Selection selection, u32 wanted, u64 *best) {
    settle(selection);
    for (u32 i = threadIdx.x; i < wanted; i += blockDim.x) best[i] = selection.keys[i];
}

// The best of many keys for each query, one block a query: those of query q lie at ranges[q] .. ranges[q + 1] times
// `wanted`. Dynamic shared memory: 2 * capacity keys.
extern "C" __global__ void merge_best(const u64 *keys, const u32 *ranges, u64 *best, u32 wanted, u32 capacity) {
    DYNAMIC_SHARED(u64, shared);
    __shared__ u32 arrived;
    u32 query = blockIdx.x;
    u64 first = (u64)ranges[query] * wanted, end = (u64)ranges[query + 1] * wanted;
    Selection selection = begin_selection(shared, &arrived, capacity);
    for (u64 from = first; from < end; from += blockDim.x) {
        u64 at = from + threadIdx.x;
        offer(selection, at < end ? keys[at] : 0, wanted);
    }
    finish_selection(selection, wanted, best + (u64)query * wanted);
}

// The best columns of each row of a matrix of scores, one block a row: keys of score and column. Those of row r are the
// `part`-th of `parts` lists of it.
// Dynamic shared memory: 2 * capacity keys.
extern "C" __global__ void select_rows(const float *scores, u32 columns, u32 first_column, u32 part, u32 parts,
                                       u64 *best, u32 wanted, u32 capacity) {
    DYNAMIC_SHARED(u64, shared);
    __shared__ u32 arrived;
    const float *row = scores + (u64)blockIdx.x * columns;
    Selection selection = begin_selection(shared, &arrived, capacity);
    for (u32 from = 0; from < columns; from += blockDim.x) {
        u32 column = from + threadIdx.x;
        bool counts = column < columns && !is_nan(row[column]);
        offer(selection, counts ? key_of(row[column], first_column + column) : 0, wanted);
    }
    finish_selection(selection, wanted, best + ((u64)blockIdx.x * parts + part) * wanted);
}
