// The forward pass of BERT's family, over texts that lie one after the other without padding. In memory numbers are
// halves, and sums run in floats; products of matrices with weights are not here (`Backend::multiply`).

#define QUERY_TILE 16
#define MAX_HEAD_DIMS 128
#define GELU 0
#define GELU_TANH 1
#define RELU 2

#ifndef BIGRAIN_EMULATED
// The bits of the IEEE binary16 that is nearest, ties to even; what is beyond is infinite.
static __device__ u16 float_to_half(float value) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// d += a b: 16 by 16 and 16 by 8 halves; see the PTX manual on mma.m16n8k16 for who holds what.
static __device__ void multiply_halves(float *d, const u32 *a, const u32 *b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

static __device__ u32 pack_halves(float low, float high) {
    return (u32)float_to_half(low) | (u32)float_to_half(high) << 16;
}

// Writes the layer norm of a row of `width` numbers, a warp for each row; number i of it is at(i). `out` gets halves,
// and `wide` the same as floats if it is not null.
template <class At>
static __device__ void normalize_row(At at, u32 row, int width, const float *weight, const float *bias, float eps,
                                     u16 *out, float *wide) {
    int lane = threadIdx.x % 32;
    float sum = 0.0f, squares = 0.0f;
    for (int i = lane; i < width; i += 32) sum += at(i);
    float mean = warp_sum(sum) / (float)width;
    for (int i = lane; i < width; i += 32) {
        float centred = at(i) - mean;
        squares += centred * centred;
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / (float)width + eps);
    for (int i = lane; i < width; i += 32) {
        float value = (at(i) - mean) * scale * weight[i] + bias[i];
        u64 to = (u64)row * width + i;
        out[to] = float_to_half(value);
        if (wide) wide[to] = value;
    }
}

// A token, by its rows in the tables.
struct Token {
    u32 word, type, position;
};

// The norm of the sum of each token's rows in the tables, a warp for each token. `types` may be null.
extern "C" __global__ void embed_tokens(const Token *tokens, u32 count, int width, const u16 *words, const u16 *types,
                                        const u16 *positions, const float *weight, const float *bias, float eps,
                                        u16 *out) {
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= count) return;
    Token token = tokens[row];
    const u16 *word = words + (u64)token.word * width, *position = positions + (u64)token.position * width;
    const u16 *type = types ? types + (u64)token.type * width : 0;
    auto at = [=](int i) {
        float sum = half_to_float(word[i]);
        if (type) sum += half_to_float(type[i]);
        return sum + half_to_float(position[i]);
    };
    normalize_row(at, row, width, weight, bias, eps, out, (float *)0);
}

// Replaces each row of x by the norm of itself plus the row of y, a warp for each row.
extern "C" __global__ void add_and_normalize(u16 *x, const u16 *y, u32 count, int width, const float *weight,
                                             const float *bias, float eps, float *wide) {
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= count) return;
    u64 first = (u64)row * width;
    auto at = [=](int i) { return half_to_float(x[first + i]) + half_to_float(y[first + i]); };
    normalize_row(at, row, width, weight, bias, eps, x, wide);
}

// What is not a number stays none.
static __device__ float activated(float x, int activation) {
    if (activation == RELU) return x < 0.0f ? 0.0f : x;
    if (activation == GELU) return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * (x * x * x))));
}

// Replaces numbers by their activation, two halves at a time and eight such pairs a thread.
extern "C" __global__ void activate(u32 *pairs, u64 count, int activation) {
    u64 first = (u64)blockIdx.x * 8 * blockDim.x + threadIdx.x;
    for (int step = 0; step < 8; step++) {
        u64 at = first + (u64)step * blockDim.x;
        if (at >= count) return;
        float low = half_to_float((u16)pairs[at]), high = half_to_float((u16)(pairs[at] >> 16));
        pairs[at] = pack_halves(activated(low, activation), activated(high, activation));
    }
}

// Two neighbours of a row of halves, from an even place on; past the end they are zeros.
static __device__ u32 pair_of(const u16 *row, int at, int dims) {
    if (dims % 2 == 0) return at < dims ? *(const u32 *)(row + at) : 0;
    u32 low = at < dims ? row[at] : 0, high = at + 1 < dims ? row[at + 1] : 0;
    return low | high << 16;
}

static __device__ u32 smaller(u32 a, u32 b) { return a < b ? a : b; }

// The largest of the four lanes that hold a row of a product, and their sum.
static __device__ float row_largest(float value) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
static __device__ float row_sum(float value) {
    value += __shfl_xor_sync(0xffffffffu, value, 1);
    return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// Up to QUERY_TILE queries, from `query` on, of the text whose tokens are `first` .. `end`.
struct AttentionTile {
    u32 query, first, end;
};

// Softmax attention inside each text, a warp for each tile of queries and head (blockIdx.y); heads of MAX_HEAD_DIMS
// dimensions at most. A row of `qkv` is a token's query, key and value, `hidden` numbers each.
//
// Keys are taken 16 at a time: their scores (two products of 16 by 8), the largest score so far, and with weights
// 2^(score - largest) the weighted sum of their values; what was summed up before shrinks when the largest grows. The
// lanes that hold scores of a product hold the same places of the left factor of the next, so weights never leave
// registers. `scale` is log2(e) / sqrt(head_dims). `distances`, if it is not null, has a number for each head and
// distance from -reach to reach, which is added to scores before they are scaled.
extern "C" __global__ void attend(const u16 *qkv, const float *distances, int reach, const AttentionTile *tiles,
                                  u32 tile_count, int hidden, int head_dims, float scale, u16 *context) {
    u32 index = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (index >= tile_count) return;
    AttentionTile tile = tiles[index];
    int lane = threadIdx.x % 32, group = lane / 4, in_group = lane % 4;
    u64 stride = 3 * (u64)hidden;
    const u16 *queries = qkv + blockIdx.y * head_dims, *keys = queries + hidden, *values = keys + hidden;
    u32 last = tile.end - 1;
    // The two rows of a product that this lane holds; rows past the text are its last, and are not written.
    u32 rows[2] = {tile.query + group, tile.query + group + 8};
    u32 left[MAX_HEAD_DIMS / 16][4];
#pragma unroll
    for (int s = 0; s < MAX_HEAD_DIMS / 16; s++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const u16 *row = queries + smaller(rows[i % 2], last) * stride;
            left[s][i] = pair_of(row, 16 * s + 2 * in_group + i / 2 * 8, head_dims);
        }
    float sums[MAX_HEAD_DIMS / 8][4] = {{0.0f}};
    float largest[2] = {-INFINITE, -INFINITE}, weights[2] = {0.0f, 0.0f};
    for (u32 from = tile.first; from < tile.end; from += 16) {
        float scores[2][4] = {{0.0f}};
#pragma unroll
        for (int n = 0; n < 2; n++) {
            const u16 *key = keys + smaller(from + 8 * n + group, last) * stride;
#pragma unroll
            for (int s = 0; s < MAX_HEAD_DIMS / 16; s++)
                if (16 * s < head_dims) {
                    u32 right[2] = {pair_of(key, 16 * s + 2 * in_group, head_dims),
                                    pair_of(key, 16 * s + 2 * in_group + 8, head_dims)};
                    multiply_halves(scores[n], left[s], right);
                }
        }
        float largest_now[2] = {largest[0], largest[1]};
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                u32 key = from + 8 * n + 2 * in_group + i % 2;
                float score = -INFINITE;
                if (key < tile.end) {
                    score = scores[n][i];
                    int distance = (int)key - (int)smaller(rows[i / 2], last);
                    if (distances) score += distances[(u64)blockIdx.y * (2 * reach + 1) + reach + distance];
                    score *= scale;
                }
                scores[n][i] = score;
                largest_now[i / 2] = fmaxf(largest_now[i / 2], score);
            }
        float shrink[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            largest_now[r] = row_largest(largest_now[r]);
            shrink[r] = exp2f(largest[r] - largest_now[r]);
            largest[r] = largest_now[r];
            weights[r] *= shrink[r];
        }
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scores[n][i] = exp2f(scores[n][i] - largest[i / 2]);
                weights[i / 2] += scores[n][i];
            }
        u32 weighted_by[4] = {pack_halves(scores[0][0], scores[0][1]), pack_halves(scores[0][2], scores[0][3]),
                              pack_halves(scores[1][0], scores[1][1]), pack_halves(scores[1][2], scores[1][3])};
        const u16 *value[4];
#pragma unroll
        for (int i = 0; i < 4; i++) value[i] = values + smaller(from + 2 * in_group + i % 2 + i / 2 * 8, last) * stride;
#pragma unroll
        for (int n = 0; n < MAX_HEAD_DIMS / 8; n++)
            if (8 * n < head_dims) {
                int dim = 8 * n + group;
                u32 right[2] = {0, 0};
                if (dim < head_dims) {
                    right[0] = (u32)value[0][dim] | (u32)value[1][dim] << 16;
                    right[1] = (u32)value[2][dim] | (u32)value[3][dim] << 16;
                }
#pragma unroll
                for (int i = 0; i < 4; i++) sums[n][i] *= shrink[i / 2];
                multiply_halves(sums[n], weighted_by, right);
            }
    }
    weights[0] = row_sum(weights[0]);
    weights[1] = row_sum(weights[1]);
#pragma unroll
    for (int n = 0; n < MAX_HEAD_DIMS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int dim = 8 * n + 2 * in_group + i % 2;
            if (dim < head_dims && rows[i / 2] < tile.end)
                context[(u64)rows[i / 2] * hidden + blockIdx.y * head_dims + dim] = float_to_half(sums[n][i] / weights[i / 2]);
        }
}
