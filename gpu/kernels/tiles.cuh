// Products of many vectors with many others.
//
// A block of 256 threads multiplies a tile of 64 vectors with a tile of 64 others; a thread of it 4 with 4. Numbers pass
// through shared memory 16 dimensions at a time, those of one dimension side by side.

#define TILE 64
#define SLAB_DIMS 16
// So that a warp writes numbers of different dimensions into different banks.
#define SLAB_STRIDE 68
#define SLAB (SLAB_DIMS * SLAB_STRIDE)

// Copies 16 dimensions of 64 vectors, from `first` up to `end`, into shared memory; what lies outside is 0.
static __device__ void load_slab(float *slab, const float *vectors, u32 first, u32 end, int dims, int from) {
    for (int i = threadIdx.x; i < TILE * SLAB_DIMS; i += blockDim.x) {
        int dim = i % SLAB_DIMS, at = i / SLAB_DIMS;
        u32 vector = first + at;
        bool is_inside = vector < end && from + dim < dims;
        slab[dim * SLAB_STRIDE + at] = is_inside ? vectors[(u64)vector * dims + from + dim] : 0.0f;
    }
}

// The products of two tiles. This thread's vectors of the left one are threadIdx.x / 16, 16 further, ..; those of the
// right one threadIdx.x % 16, 16 further, ..
static __device__ __forceinline__ void multiply_tiles(float *slabs, const float *left, u32 first_left, u32 end_left,
                                                      const float *right, u32 first_right, u32 end_right, int dims,
                                                      float dots[4][4]) {
    float *left_slab = slabs, *right_slab = slabs + SLAB;
    int across = threadIdx.x % 16, down = threadIdx.x / 16;
#pragma unroll
    for (int l = 0; l < 4; l++)
#pragma unroll
        for (int r = 0; r < 4; r++) dots[l][r] = 0.0f;
    for (int from = 0; from < dims; from += SLAB_DIMS) {
        load_slab(left_slab, left, first_left, end_left, dims, from);
        load_slab(right_slab, right, first_right, end_right, dims, from);
        __syncthreads();
#pragma unroll
        for (int dim = 0; dim < SLAB_DIMS; dim++) {
            float x[4], y[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                x[i] = left_slab[dim * SLAB_STRIDE + down + 16 * i];
                y[i] = right_slab[dim * SLAB_STRIDE + across + 16 * i];
            }
#pragma unroll
            for (int l = 0; l < 4; l++)
#pragma unroll
                for (int r = 0; r < 4; r++) dots[l][r] += x[l] * y[r];
        }
        __syncthreads();
    }
}
