// From embeddings to codes: the rotation of engine/binarize/src/rotation.rs and the rounding of engine/kernels.

// The part of `padded` numbers that the Hadamard transform of a round covers: `length` of them, a power of two.
static __device__ float *transformed(float *values, int round, int length, int padded) {
    return values + (round % 2 == 0 ? 0 : padded - length);
}

static __device__ int transform_length(int padded) {
    int length = 1;
    while (2 * length <= padded) length *= 2;
    return length;
}

// The Hadamard transform of a power of two of numbers, by a block of threads.
static __device__ void hadamard(float *part, int length) {
    for (int distance = 1; distance < length; distance *= 2) {
        for (int i = threadIdx.x; i < length / 2; i += blockDim.x) {
            int low = i / distance * 2 * distance + i % distance;
            float x = part[low], y = part[low + distance];
            part[low] = x + y;
            part[low + distance] = x - y;
        }
        __syncthreads();
    }
}

// Adds and subtracts the two halves, where the transform did not cover all.
static __device__ void givens(float *values, int length, int padded) {
    if (length == padded) return;
    for (int i = threadIdx.x; i < padded / 2; i += blockDim.x) {
        float x = values[i], y = values[i + padded / 2];
        values[i] = x + y;
        values[i + padded / 2] = x - y;
    }
    __syncthreads();
}

// Rotates rows, a block of threads each: padding, then four rounds of signs, Hadamard transform and Givens step. Each
// number is made by the CPU's operations in the CPU's order. Dynamic shared memory: `padded` numbers.
extern "C" __global__ void rotate_rows(const float *rows, const float *multipliers, int dims, int padded, float *rotated) {
    DYNAMIC_SHARED(float, values);
    const float *row = rows + (u64)blockIdx.x * dims;
    int length = transform_length(padded);
    for (int i = threadIdx.x; i < padded; i += blockDim.x) values[i] = i < dims ? row[i] : 0.0f;
    __syncthreads();
    for (int round = 0; round < 4; round++) {
        for (int i = threadIdx.x; i < padded; i += blockDim.x) values[i] *= multipliers[round * padded + i];
        __syncthreads();
        hadamard(transformed(values, round, length, padded), length);
        givens(values, length, padded);
    }
    for (int i = threadIdx.x; i < padded; i += blockDim.x) rotated[(u64)blockIdx.x * padded + i] = values[i];
}

// Turns rows of `given` rotated numbers, the others being 0, back into rows of `dims`: every step is its own inverse, so
// the rounds run backwards. Dynamic shared memory: `padded` numbers.
extern "C" __global__ void rotate_rows_back(const float *rotated, const float *multipliers, int given, int dims,
                                            int padded, float *rows) {
    DYNAMIC_SHARED(float, values);
    const float *row = rotated + (u64)blockIdx.x * given;
    int length = transform_length(padded);
    for (int i = threadIdx.x; i < padded; i += blockDim.x) values[i] = i < given ? row[i] : 0.0f;
    __syncthreads();
    for (int round = 3; round >= 0; round--) {
        givens(values, length, padded);
        hadamard(transformed(values, round, length, padded), length);
        for (int i = threadIdx.x; i < padded; i += blockDim.x) values[i] *= multipliers[round * padded + i];
        __syncthreads();
    }
    for (int i = threadIdx.x; i < dims; i += blockDim.x) rows[(u64)blockIdx.x * dims + i] = values[i];
}

// Rounds numbers to odd integers, a warp for each row, and writes their planes: LEVELS times `words` words a row, plane
// after plane. Of each row two sums are written, <u, y> and <u, u> with y the scaled numbers: those of `quantize` in
// engine/kernels but for the order of addition.
extern "C" __global__ void quantize_rows(const float *rows, const float *inverse_scales, u32 count, int dims, int words,
                                         u32 *planes, float *sums) {
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = threadIdx.x % 32;
    if (row >= count) return;
    float largest = (float)((1 << LEVELS) - 1), inverse_scale = inverse_scales[row];
    float dot = 0.0f, norm_squared = 0.0f;
    for (int w = 0; w < words; w++) {
        int dim = w * 32 + lane;
        u32 k = 0;
        if (dim < dims) {
            float scaled = rows[(u64)row * dims + dim] * inverse_scale;
            float nearest = 2.0f * ceilf(0.5f * scaled) - 1.0f;
            nearest = fminf(fmaxf(nearest, -largest), largest);
            k = (u32)((nearest + largest) / 2.0f);
            dot += nearest * scaled;
            norm_squared += nearest * nearest;
        }
#pragma unroll
        for (int a = 0; a < LEVELS; a++) {
            u32 word = __ballot_sync(0xffffffffu, k >> (LEVELS - 1 - a) & 1);
            if (lane == 0) planes[((u64)row * LEVELS + a) * words + w] = word;
        }
    }
    dot = warp_sum(dot);
    norm_squared = warp_sum(norm_squared);
    if (lane == 0) {
        sums[2 * row] = dot;
        sums[2 * row + 1] = norm_squared;
    }
}
