// What M2-BERT does between products and long convolutions. Rows are of tokens, [tokens, channels]; what is convolved
// lies by channel, [channels, tokens], texts of one length one after the other.

#define TILE 32

// From the projections of each token (x1, x2 and v, `channels` numbers each), filtered over three tokens of its text, to what is
// convolved: signals are v x1 with x beside it, and `gate` is x2. A block of 256 threads takes TILE tokens (blockIdx.x)
// and channels (blockIdx.y). `taps` has three numbers for each of the 3 `channels`, that of the token itself last.
extern "C" __global__ void split_signals(const u16 *projected, const u16 *x, const float *taps, const float *bias, u32 tokens,
                                         u32 length, u32 channels, u32 *signals, u16 *gate) {
    __shared__ u32 signal_tile[TILE][TILE + 1];
    __shared__ u16 gate_tile[TILE][TILE + 1];
    u32 lane = threadIdx.x % TILE, first_token = blockIdx.x * TILE, first_channel = blockIdx.y * TILE;
    u32 channel = first_channel + lane;
    for (u32 row = threadIdx.x / TILE; row < TILE; row += blockDim.x / TILE) {
        u32 token = first_token + row;
        if (token >= tokens || channel >= channels) continue;
        u32 position = token % length;
        float filtered[3];
#pragma unroll
        for (u32 part = 0; part < 3; part++) {
            u32 column = part * channels + channel;
            filtered[part] = bias[column];
            // Before its first token a text has nothing.
#pragma unroll
            for (u32 back = 0; back < 3; back++)
                if (back <= position) {
                    float value = half_to_float(projected[(u64)(token - back) * 3 * channels + column]);
                    filtered[part] += taps[3 * column + 2 - back] * value;
                }
        }
        u32 own = x[(u64)token * channels + channel];
        signal_tile[row][lane] = (u32)float_to_half(filtered[2] * filtered[0]) | own << 16;
        gate_tile[row][lane] = float_to_half(filtered[1]);
    }
    __syncthreads();
    u32 token = first_token + lane;
    for (u32 row = threadIdx.x / TILE; row < TILE; row += blockDim.x / TILE) {
        channel = first_channel + row;
        if (token >= tokens || channel >= channels) continue;
        u64 at = (u64)channel * tokens + token;
        signals[at] = signal_tile[lane][row];
        gate[at] = gate_tile[lane][row];
    }
}

// Rows of the first `wanted` tokens of each text, [texts, wanted, channels], from values by channel. Blocks as above, of
// TILE of these rows.
extern "C" __global__ void gather_rows(const u16 *by_channel, u32 count, u32 tokens, u32 length, u32 wanted, u32 channels,
                                       u16 *rows) {
    __shared__ u16 tile[TILE][TILE + 1];
    u32 lane = threadIdx.x % TILE, first_row = blockIdx.x * TILE, first_channel = blockIdx.y * TILE;
    u32 to = first_row + lane;
    for (u32 row = threadIdx.x / TILE; row < TILE; row += blockDim.x / TILE) {
        u32 channel = first_channel + row, token = to / wanted * length + to % wanted;
        if (to < count && channel < channels) tile[row][lane] = by_channel[(u64)channel * tokens + token];
    }
    __syncthreads();
    u32 channel = first_channel + lane;
    for (u32 row = threadIdx.x / TILE; row < TILE; row += blockDim.x / TILE) {
        to = first_row + row;
        if (to < count && channel < channels) rows[(u64)to * channels + channel] = tile[lane][row];
    }
}

// The gate of the feed-forward block: of each row of two halves, `pairs` pairs of numbers each, the activation (GELU) of the
// first times the second. blockIdx.x counts rows.
extern "C" __global__ void gate_values(const u32 *wide, int pairs, u32 *out) {
    const u32 *first = wide + (u64)blockIdx.x * 2 * pairs, *second = first + pairs;
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        Complex passing = signal_of(first[i]), factor = signal_of(second[i]);
        out[(u64)blockIdx.x * pairs + i] =
            pack_halves(activated(passing.re, GELU) * factor.re, activated(passing.im, GELU) * factor.im);
    }
}
