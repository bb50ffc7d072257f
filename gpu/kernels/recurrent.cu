// The forward pass of a recurrent binarizer, engine/binarize/src/recurrent: maps, signs, and what signs leave over.

// Maps rows of `inputs` numbers by `outputs x inputs` weights: each product and its bias is written into `out`, whose
// rows are `stride` apart, or added to what is there; where it is rectified, what is below 0 becomes 0.
extern "C" __global__ void map_rows(const float *rows, u32 count, const float *weights, u32 outputs, int inputs,
                                    const float *bias, int is_added, int is_rectified, int stride, float *out) {
    __shared__ float slabs[2 * SLAB];
    u32 first_row = blockIdx.x * TILE, first_output = blockIdx.y * TILE;
    int across = threadIdx.x % 16, down = threadIdx.x / 16;
    float dots[4][4];
    multiply_tiles(slabs, rows, first_row, count, weights, first_output, outputs, inputs, dots);
    for (int r = 0; r < 4; r++) {
        u32 row = first_row + down + 16 * r;
        if (row >= count) continue;
        for (int o = 0; o < 4; o++) {
            u32 output = first_output + across + 16 * o;
            if (output >= outputs) continue;
            float *place = out + (u64)row * stride + output;
            float value = dots[r][o] + (is_added ? *place : 0.0f) + bias[output];
            *place = is_rectified ? fmaxf(value, 0.0f) : value;
        }
    }
}

// The length of a row of `dims` numbers; the lanes of a warp share the work, and all have it.
static __device__ float length_of(const float *row, int dims) {
    float squared = 0.0f;
    for (int dim = threadIdx.x % 32; dim < dims; dim += 32) squared += row[dim] * row[dim];
    return sqrtf(warp_sum(squared));
}

// Copies the first `dims` numbers of each row, `stride` apart, brought to length one unless they are all 0; a warp for
// each row.
extern "C" __global__ void unit_rows(const float *rows, u32 count, int stride, int dims, float *units) {
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= count) return;
    const float *from = rows + (u64)row * stride;
    float length = length_of(from, dims);
    float inverse = length > 0.0f ? 1.0f / length : 1.0f;
    for (int dim = threadIdx.x % 32; dim < dims; dim += 32) units[(u64)row * dims + dim] = from[dim] * inverse;
}

// What a code leaves of its row: `rebuilt` is brought to the length `length`, and taken from the row. A warp for each
// row; written over `rebuilt`.
extern "C" __global__ void leave_over(const float *rows, float *rebuilt, u32 count, int dims, float length) {
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= count) return;
    float *of_row = rebuilt + (u64)row * dims;
    float norm = length_of(of_row, dims);
    float inverse = norm > 0.0f ? length * (1.0f / norm) : 0.0f;
    for (int dim = threadIdx.x % 32; dim < dims; dim += 32)
        of_row[dim] = rows[(u64)row * dims + dim] - of_row[dim] * inverse;
}

// Writes the signs of the first `dims` numbers of each row, `stride` apart, as plane `level` of its code of `levels`
// planes, and adds them to the code as a vector, `weight` each. Zero is negative; `dims` is a multiple of 32. A warp for
// each row.
extern "C" __global__ void add_signs(const float *rows, u32 count, int stride, int dims, int level, int levels,
                                     float weight, float *codes, u32 *planes) {
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= count) return;
    int lane = threadIdx.x % 32, words = dims / 32;
    for (int w = 0; w < words; w++) {
        int dim = w * 32 + lane;
        bool is_positive = rows[(u64)row * stride + dim] > 0.0f;
        codes[(u64)row * dims + dim] += is_positive ? weight : -weight;
        u32 word = __ballot_sync(0xffffffffu, is_positive);
        if (lane == 0) planes[((u64)row * levels + level) * words + w] = word;
    }
}
