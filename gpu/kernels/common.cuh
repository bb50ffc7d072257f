// What every kernel shares. The text is compiled twice: by NVRTC for a GPU, and by a C++ compiler for tests, which
// define BIGRAIN_EMULATED and what CUDA has beyond C++ (emulation/emulated.h).
//
// LEVELS (planes of a code) and WIDTH (planes of a query) are constants of the compilation, so that loops over them
// are unrolled; the emulation makes them variables.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define BLOCK_ROWS 32
#define MAX_WIDTH 8
#define ROW_IS_OUT (-2147483647 - 1)

#ifndef BIGRAIN_EMULATED
#define DYNAMIC_SHARED(type, name) \
    extern __shared__ __align__(16) u8 dynamic_shared[]; \
    type *name = (type *)dynamic_shared

// The number that the bits of an IEEE binary16 stand for.
static __device__ float half_to_float(u16 bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
#endif

#define INFINITE __int_as_float(0x7f800000)

static __device__ bool is_nan(float value) { return value != value; }

// A key that sorts as the score does, and the smaller row first among equal scores. No key of a row is 0.
static __device__ u64 key_of(float score, u32 row) {
    u32 bits = __float_as_uint(score + 0.0f);
    u32 rising = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (u64)rising << 32 | (u32)~row;
}

static __device__ float score_of(u64 key) {
    u32 rising = (u32)(key >> 32);
    return __uint_as_float(rising & 0x80000000u ? rising & 0x7fffffffu : ~rising);
}

// Adds a value up over a warp, in an order that does not depend on time; every lane has the sum.
static __device__ float warp_sum(float value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// The score of a code from the bits in which it differs from the query, those of plane b of a level counted in
// differing[b]:  S = (2^B - 1) (2^Q - 1) D - 2 * sum over a, b of 2^(B-1-a) 2^(Q-1-b) differing.
static __device__ int weighted(const int *differing) {
    int sum = 0;
#pragma unroll
    for (int b = 0; b < WIDTH; b++) sum += differing[b] << (WIDTH - 1 - b);
    return sum;
}

// The score of one code. Level a of it lies at planes + a * level_stride, its words a block's rows apart.
static __device__ int score_code(const u32 *planes, u64 level_stride, const u32 *query, int words, int dims) {
    int sum = 0;
#pragma unroll
    for (int a = 0; a < LEVELS; a++) {
        const u32 *plane = planes + a * level_stride;
        int differing[MAX_WIDTH] = {0};
        for (int w = 0; w < words; w++) {
            u32 word = plane[w * BLOCK_ROWS];
#pragma unroll
            for (int b = 0; b < WIDTH; b++) differing[b] += __popc(word ^ query[b * words + w]);
        }
        sum = 2 * sum + weighted(differing);
    }
    return ((1 << LEVELS) - 1) * ((1 << WIDTH) - 1) * dims - 2 * sum;
}

// What a query adds to the factors of the codes of a list; see bound_blocks in engine/kernels.
struct Terms {
    float constant, scale, error, bias;
    // The share of the three terms of a similarity that rounding may add; 0 where bits must be those of bound_blocks.
    float rounding;
};

// A similarity with how far off it may be.
struct Estimate {
    float similarity, error;
};

// The formula of bound_blocks: every operation is rounded by itself (no fused multiply-add), so the bits are the CPU's.
static __device__ Estimate estimate(int score, float add, float rescale, float error, Terms terms) {
    float part = (rescale * terms.scale) * (float)score;
    float similarity = (add + terms.constant) + part;
    float slack = error * terms.error + fabsf(part) * terms.bias;
    if (terms.rounding > 0.0f) slack += terms.rounding * (fabsf(part) + fabsf(add) + fabsf(terms.constant));
    float upper = similarity + slack;
    Estimate result = {similarity, upper - similarity};
    return result;
}
