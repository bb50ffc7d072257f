// Scores of many queries at once, on tensor cores. Planes of codes become bytes 0 .. 2^B - 1, planes of queries the
// odd integers they spell, -127 .. 127 (at most 7 planes); then with k the bytes and w the odd integers
//
//   S = sum of (2k - (2^B - 1)) w = 2 <k, w> - (2^B - 1) sum of w.
//
// A block of 256 threads makes a tile of 64 queries by 128 codes; a warp of it 32 by 32 (2 by 4 products of 16 by 8).
// Operands pass through shared memory 64 dimensions at a time, a padded row of 80 bytes each, which is what lets a
// warp read its fragments without bank conflicts.

#define TILE_QUERIES 64
#define TILE_CODES 128
#define TILE_DIMS 64
#define TILE_STRIDE 80

#ifndef BIGRAIN_EMULATED
// d += a b: 16 by 32 signed bytes, 32 by 8 unsigned bytes; see the PTX manual on mma.m16n8k32 for who holds what.
static __device__ void multiply_bytes(int *d, const u32 *a, const u32 *b) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// The odd integers of queries as bytes, `padded` (a multiple of 64) a query, and their sums. Past the last dimension
// they are 0. One block a query.
extern "C" __global__ void decode_queries(const u32 *queries, int words, int dims, int padded, u8 *values, int *sums) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    const u32 *planes = queries + (u64)blockIdx.x * WIDTH * words;
    int mine = 0;
    for (int dim = threadIdx.x; dim < padded; dim += blockDim.x) {
        int k = 0;
#pragma unroll
        for (int b = 0; b < WIDTH; b++)
            k = 2 * k + (dim < dims ? (int)(planes[b * words + dim / 32] >> (dim % 32) & 1) : 0);
        int value = dim < dims ? 2 * k - ((1 << WIDTH) - 1) : 0;
        values[(u64)blockIdx.x * padded + dim] = (u8)value;
        mine += value;
    }
    atomicAdd(&sum, mine);
    __syncthreads();
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Four bits as four bytes.
static __device__ u32 spread(u32 bits) { return ((bits & 15u) * 0x00204081u) & 0x01010101u; }

// Similarities of codes first_row .. first_row + columns for all queries, one row of `columns` numbers a query: no
// matter which list, of one set of terms a query. Without factors (add is null) the scores themselves, as integers.
extern "C" __global__ void batch_scores(const u32 *planes, u64 level_stride, const u8 *values, const int *sums,
                                        int words, int padded, u32 queries, u32 first_row, u32 columns,
                                        const float *add, const u16 *rescale, const Terms *terms, const u32 *mask,
                                        int *out) {
    __shared__ __align__(16) u8 query_tile[TILE_QUERIES * TILE_STRIDE];
    __shared__ __align__(16) u8 code_tile[TILE_CODES * TILE_STRIDE];
    u32 tile_column = blockIdx.x * TILE_CODES, tile_query = blockIdx.y * TILE_QUERIES;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int warp_query = warp / 4 * 32, warp_code = warp % 4 * 32;
    int group = lane / 4, in_group = lane % 4;
    int products[2][4][4] = {{{0}}};
    for (int from = 0; from < padded; from += TILE_DIMS) {
        for (int i = threadIdx.x; i < TILE_QUERIES * TILE_DIMS / 4; i += blockDim.x) {
            int row = i / (TILE_DIMS / 4), at = i % (TILE_DIMS / 4) * 4;
            u32 query = tile_query + row;
            u32 four = query < queries ? *(const u32 *)(values + (u64)query * padded + from + at) : 0;
            *(u32 *)(query_tile + row * TILE_STRIDE + at) = four;
        }
        // A thread decodes one word of 32 dimensions of one code.
        for (int i = threadIdx.x; i < TILE_CODES * (TILE_DIMS / 32); i += blockDim.x) {
            int row = i % TILE_CODES, part = i / TILE_CODES, w = from / 32 + part;
            u32 column = tile_column + row, code = first_row + column;
            u32 bits[4] = {0};
#pragma unroll
            for (int a = 0; a < LEVELS; a++)
                if (column < columns && w < words)
                    bits[a] = planes[a * level_stride + ((u64)(code / BLOCK_ROWS) * words + w) * BLOCK_ROWS + code % BLOCK_ROWS];
            for (int nibble = 0; nibble < 8; nibble++) {
                u32 four = 0;
#pragma unroll
                for (int a = 0; a < LEVELS; a++) four = 2 * four + spread(bits[a] >> (4 * nibble));
                *(u32 *)(code_tile + row * TILE_STRIDE + part * 32 + nibble * 4) = four;
            }
        }
        __syncthreads();
        for (int k = 0; k < TILE_DIMS; k += 32) {
            u32 a[2][4], b[4][2];
            for (int m = 0; m < 2; m++) {
                const u8 *row = query_tile + (warp_query + m * 16 + group) * TILE_STRIDE + k + in_group * 4;
                a[m][0] = *(const u32 *)row;
                a[m][1] = *(const u32 *)(row + 8 * TILE_STRIDE);
                a[m][2] = *(const u32 *)(row + 16);
                a[m][3] = *(const u32 *)(row + 8 * TILE_STRIDE + 16);
            }
            for (int n = 0; n < 4; n++) {
                const u8 *row = code_tile + (warp_code + n * 8 + group) * TILE_STRIDE + k + in_group * 4;
                b[n][0] = *(const u32 *)row;
                b[n][1] = *(const u32 *)(row + 16);
            }
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int n = 0; n < 4; n++) multiply_bytes(products[m][n], a[m], b[n]);
        }
        __syncthreads();
    }
    for (int m = 0; m < 2; m++)
        for (int n = 0; n < 4; n++)
            for (int i = 0; i < 4; i++) {
                u32 query = tile_query + warp_query + m * 16 + group + i / 2 * 8;
                u32 column = tile_column + warp_code + n * 8 + in_group * 2 + i % 2;
                if (query >= queries || column >= columns) continue;
                u32 row = first_row + column;
                int score = 2 * products[m][n][i] - ((1 << LEVELS) - 1) * sums[query];
                int result = score;
                if (add) {
                    bool out_of_mask = mask && !(mask[row / BLOCK_ROWS] >> (row % BLOCK_ROWS) & 1);
                    Estimate found = estimate(score, add[row], half_to_float(rescale[row]), 0.0f, terms[query]);
                    // Not a number: a row that is not looked at.
                    result = out_of_mask ? 0x7fc00000 : __float_as_int(found.similarity);
                }
                out[(u64)query * columns + column] = result;
            }
}
