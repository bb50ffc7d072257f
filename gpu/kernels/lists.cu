// The list of each row: the nearest of some centroids, by exact distances.
//
// A block of 256 threads compares a tile of 64 rows with tiles of 64 centroids, one after the other; a thread of it 4 rows
// with 4 centroids. Numbers pass through shared memory 16 dimensions at a time, those of one dimension side by side.
// The best centroid of each row stays in registers until the last tile.

#define TILE_ROWS 64
#define TILE_LISTS 64
#define SLAB_DIMS 16
// So that a warp writes numbers of different dimensions into different banks.
#define SLAB_STRIDE 68

// Copies 16 dimensions of 64 vectors, from `first` up to `end`, into shared memory; what lies outside is 0.
static __device__ void load_slab(float *slab, const float *vectors, u32 first, u32 end, int dims, int from) {
    for (int i = threadIdx.x; i < TILE_ROWS * SLAB_DIMS; i += blockDim.x) {
        int dim = i % SLAB_DIMS, at = i / SLAB_DIMS;
        u32 vector = first + at;
        bool is_inside = vector < end && from + dim < dims;
        slab[dim * SLAB_STRIDE + at] = is_inside ? vectors[(u64)vector * dims + from + dim] : 0.0f;
    }
}

// The nearest centroid of each row: that of the largest 2 <x, c> - shortfall, which is |c|^2 and what the list is made
// to seem further away by; the first of equal ones. blockIdx.y is a part of the centroids, `part` of them. Writes the
// largest key of each row (see key_of), which was 0 before; 0 stays where nothing is a number.
extern "C" __global__ void nearest_lists(const float *rows, u32 count, const float *centroids, const float *shortfalls,
                                         u32 lists, u32 part, int dims, u64 *best) {
    __shared__ float row_slab[SLAB_DIMS * SLAB_STRIDE];
    __shared__ float list_slab[SLAB_DIMS * SLAB_STRIDE];
    __shared__ u64 found[TILE_ROWS * 16];
    u32 first_row = blockIdx.x * TILE_ROWS, first_list = blockIdx.y * part;
    u32 end_list = lists - first_list < part ? lists : first_list + part;
    // This thread's rows are down, down + 16, ..; its centroids of each tile across, across + 16, ..
    int across = threadIdx.x % 16, down = threadIdx.x / 16;
    u64 mine[4] = {0};
    for (u32 tile = first_list; tile < end_list; tile += TILE_LISTS) {
        float dots[4][4] = {{0.0f}};
        for (int from = 0; from < dims; from += SLAB_DIMS) {
            load_slab(row_slab, rows, first_row, count, dims, from);
            load_slab(list_slab, centroids, tile, end_list, dims, from);
            __syncthreads();
#pragma unroll
            for (int dim = 0; dim < SLAB_DIMS; dim++) {
                float x[4], c[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    x[i] = row_slab[dim * SLAB_STRIDE + down + 16 * i];
                    c[i] = list_slab[dim * SLAB_STRIDE + across + 16 * i];
                }
#pragma unroll
                for (int r = 0; r < 4; r++)
#pragma unroll
                    for (int l = 0; l < 4; l++) dots[r][l] += x[r] * c[l];
            }
            __syncthreads();
        }
        for (int l = 0; l < 4; l++) {
            u32 list = tile + across + 16 * l;
            if (list >= end_list) continue;
            for (int r = 0; r < 4; r++) {
                float nearness = 2.0f * dots[r][l] - shortfalls[list];
                u64 key = is_nan(nearness) ? 0 : key_of(nearness, list);
                if (key > mine[r]) mine[r] = key;
            }
        }
    }
    for (int r = 0; r < 4; r++) found[(down + 16 * r) * 16 + across] = mine[r];
    __syncthreads();
    u32 row = first_row + threadIdx.x;
    if (threadIdx.x < TILE_ROWS && row < count) {
        u64 largest = 0;
        for (int i = 0; i < 16; i++) {
            u64 key = found[threadIdx.x * 16 + i];
            if (key > largest) largest = key;
        }
        atomicMax(best + row, largest);
    }
}
