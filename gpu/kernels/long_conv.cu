// Two convolutions of a text, with filters that reach from its first token to its last both ways, by one pair of Fourier
// transforms of `size` values, a power of two of at least twice the text. One signal is the real part and one the
// imaginary; with Z their transform and Z~[k] = conj(Z[size - k]) both results are F^-1(Z P + Z~ M), and P and M, of
// real filters, are said by their lower halves (encoders/src/m2_bert/long_conv.rs has the algebra).
//
// A transform takes steps of 16, and one of 8, 4 or 2 for what is left: a step cuts blocks of `length` values into 16
// parts, has the values at one place of all parts go through a transform of 16 in registers, and turns the results by
// roots. These are the factors of FlashFFTConv (4,096 = 16 * 16 * 16), without its dense matrices. Nothing is put in
// order: afterwards frequency k lies at the place whose digits are those of k in reverse, and the way back takes the
// steps in reverse.
//
// Places are `rows` of `width`: frequency k1 + rows * k2 lies in row place_of(k1), there at place_of(k2). The mirror of
// place q in the row of k1 > 0 is place width - 1 - q in the row of rows - k1, since the mirror's digits in it are the
// complements. So a row and its mirror can be multiplied with spectra while nothing else is there. Up to 4,096 values
// are in the shared memory of one block from beginning to end, with rows of a 16th; more go through three passes:
//
//     transform_columns   columns of `rows` values, COLUMNS of them a block      signals -> scratch
//     convolve_rows       a row and its mirror, there and back                   scratch -> scratch
//     restore_columns     columns, back                                          scratch -> results

#define COLUMNS 16

struct __align__(8) Complex {
    float re, im;
};

static __device__ __forceinline__ Complex plus(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
static __device__ __forceinline__ Complex minus(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
static __device__ __forceinline__ Complex conjugate(Complex a) { return {a.re, -a.im}; }
static __device__ __forceinline__ Complex times(Complex a, Complex b) {
    return {fmaf(a.re, b.re, -(a.im * b.im)), fmaf(a.re, b.im, a.im * b.re)};
}

// e^(-2 pi i t / 16) for t up to 9, with the other sign on the way BACK.
template <bool BACK>
static __device__ __forceinline__ Complex sixteenth(int t) {
    const float cosines[10] = {1.0f, 0.92387953f, 0.70710678f, 0.38268343f, 0.0f,
                               -0.38268343f, -0.70710678f, -0.92387953f, -1.0f, -0.92387953f};
    const float sines[10] = {0.0f, 0.38268343f, 0.70710678f, 0.92387953f, 1.0f,
                             0.92387953f, 0.70710678f, 0.38268343f, 0.0f, -0.38268343f};
    return {cosines[t], BACK ? sines[t] : -sines[t]};
}

// Replaces R values, 2, 4, 8 or 16, by their transform, in order.
template <int R, bool BACK>
static __device__ __forceinline__ void transform_values(Complex *v) {
    if constexpr (R == 2) {
        Complex a = v[0], b = v[1];
        v[0] = plus(a, b);
        v[1] = minus(a, b);
    } else if constexpr (R == 4) {
        Complex a = plus(v[0], v[2]), b = minus(v[0], v[2]), c = plus(v[1], v[3]), d = minus(v[1], v[3]);
        Complex turned = {BACK ? -d.im : d.im, BACK ? d.re : -d.re};
        v[0] = plus(a, c);
        v[1] = plus(b, turned);
        v[2] = minus(a, c);
        v[3] = minus(b, turned);
    } else {
        // R / 4 transforms of four, then four of R / 4.
        constexpr int PART = R / 4;
        Complex parts[4][PART];
#pragma unroll
        for (int j = 0; j < PART; j++) {
            Complex four[4] = {v[j], v[j + PART], v[j + 2 * PART], v[j + 3 * PART]};
            transform_values<4, BACK>(four);
#pragma unroll
            for (int q = 0; q < 4; q++) parts[q][j] = times(four[q], sixteenth<BACK>(16 / R * j * q));
        }
#pragma unroll
        for (int q = 0; q < 4; q++) {
            transform_values<PART, BACK>(parts[q]);
#pragma unroll
            for (int p = 0; p < PART; p++) v[q + 4 * p] = parts[q][p];
        }
    }
}

// Values in shared memory: after each 16 one is left out, so that threads that are 16 places apart meet different banks.
struct Padded {
    Complex *values;
    __device__ __forceinline__ Complex &operator[](int i) const { return values[i + (i >> 4)]; }
};

// A column of COLUMNS.
struct Column {
    Complex *values;
    __device__ __forceinline__ Complex &operator[](int i) const { return values[i * COLUMNS]; }
};

// One step of the transforms of `count` values, in blocks of `length`. roots[n + t] is e^(-2 pi i t / n), for every power
// of two n.
template <int R, bool BACK, class Values>
static __device__ __forceinline__ void take_step(Values values, int count, int length, const Complex *roots, int thread,
                                                 int threads) {
    int part = length / R;
    for (int t = thread; t < count / R; t += threads) {
        int j = t & (part - 1), first = (t - j) * R + j;
        Complex v[R];
#pragma unroll
        for (int m = 0; m < R; m++) {
            v[m] = values[first + m * part];
            if (BACK && m > 0) v[m] = times(v[m], conjugate(roots[length + j * m]));
        }
        transform_values<R, BACK>(v);
#pragma unroll
        for (int m = 0; m < R; m++) {
            if (!BACK && m > 0) v[m] = times(v[m], roots[length + j * m]);
            values[first + m * part] = v[m];
        }
    }
    __syncthreads();
}

template <bool BACK, class Values>
static __device__ void take_last_step(Values values, int count, int length, const Complex *roots, int thread, int threads) {
    if (length == 8) take_step<8, BACK>(values, count, length, roots, thread, threads);
    if (length == 4) take_step<4, BACK>(values, count, length, roots, thread, threads);
    if (length == 2) take_step<2, BACK>(values, count, length, roots, thread, threads);
}

// Transforms of blocks of `length` values, a power of two, of `count` in all; every thread of the block takes part.
template <class Values>
static __device__ void transform(Values values, int count, int length, const Complex *roots, int thread, int threads) {
    int rest = length;
    for (; rest >= 16; rest /= 16) take_step<16, false>(values, count, rest, roots, thread, threads);
    take_last_step<false>(values, count, rest, roots, thread, threads);
}

// The way back, without the division by `length`.
template <class Values>
static __device__ void transform_back(Values values, int count, int length, const Complex *roots, int thread, int threads) {
    int rest = length;
    while (rest >= 16) rest /= 16;
    take_last_step<true>(values, count, rest, roots, thread, threads);
    for (rest *= 16; rest <= length; rest *= 16) take_step<16, true>(values, count, rest, roots, thread, threads);
}

// Where a frequency lies after a transform of `length` values.
static __device__ int place_of(int frequency, int length) {
    int place = 0;
    while (length > 1) {
        int radix = length < 16 ? length : 16;
        length /= radix;
        place += frequency % radix * length;
        frequency /= radix;
    }
    return place;
}

static __device__ int frequency_at(int place, int length) {
    int frequency = 0, unit = 1;
    while (length > 1) {
        int radix = length < 16 ? length : 16;
        length /= radix;
        frequency += place / length * unit;
        place %= length;
        unit *= radix;
    }
    return frequency;
}

// Calls work(entry, low, high) for each frequency of the lower half that lies in the row of frequency p or is the mirror
// of one that does: its entry in spectra, its place in that row, and the place of its mirror in the mirrored row. Entries are
// numbered so that neighbours are read together; the last is that of half of row 0.
template <class Work>
static __device__ __forceinline__ void visit_row(int p, int rows, int width, Work work) {
    int half = width / 2;
    if (p == 0) {
        for (int k = threadIdx.x; k <= half; k += blockDim.x) {
            int entry = k < half ? k : rows * width / 2;
            work(entry, place_of(k, width), place_of((width - k) & (width - 1), width));
        }
        return;
    }
    int count = 2 * p == rows ? (width + 1) / 2 : width;
    for (int q = threadIdx.x; q < count; q += blockDim.x) work(half + (p - 1) * width + q, q, width - 1 - q);
}

// The spectra of a channel: P, and M behind it.
static __device__ u64 spectra_at(u32 channel, int size) { return (u64)channel * (size + 2); }

// Replaces the values at a frequency and at its mirror by Z P + Z~ M.
static __device__ __forceinline__ void multiply_pair(Complex &low, Complex &high, Complex sum, Complex difference) {
    Complex a = low, b = high;
    low = plus(times(a, sum), times(conjugate(b), difference));
    high = plus(times(b, conjugate(sum)), times(conjugate(a), conjugate(difference)));
}

// What a signal is, of two halves.
static __device__ __forceinline__ Complex signal_of(u32 halves) {
    return {half_to_float((u16)halves), half_to_float((u16)(halves >> 16))};
}

// What a layer makes of both results: the first is gated, the second added.
static __device__ __forceinline__ u16 mixed(Complex results, u16 gate) {
    return float_to_half(results.re * half_to_float(gate) + results.im);
}

// Both convolutions of one channel of one text, in a block: channel blockIdx.x / texts. The text's signals are replaced in
// `gate`, which holds what the first result is multiplied by. Dynamic shared memory: size * 17 / 16 values.
extern "C" __global__ void convolve_texts(const u32 *signals, const Complex *spectra, const Complex *roots, int length,
                                          int size, u32 texts, u16 *gate) {
    DYNAMIC_SHARED(Complex, memory);
    Padded values = {memory};
    u64 first = (u64)blockIdx.x * length;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        Complex nothing = {0.0f, 0.0f};
        values[i] = i < length ? signal_of(signals[first + i]) : nothing;
    }
    __syncthreads();
    transform(values, size, size, roots, threadIdx.x, blockDim.x);
    int rows = size < 16 ? size : 16, width = size / rows;
    const Complex *sums = spectra + spectra_at(blockIdx.x / texts, size), *differences = sums + size / 2 + 1;
    for (int p = 0; 2 * p <= rows; p++) {
        int low_row = p * width, high_row = (rows - p) % rows * width;
        visit_row(p, rows, width, [=](int entry, int low, int high) {
            multiply_pair(values[low_row + low], values[high_row + high], sums[entry], differences[entry]);
        });
    }
    __syncthreads();
    transform_back(values, size, size, roots, threadIdx.x, blockDim.x);
    for (int i = threadIdx.x; i < length; i += blockDim.x) gate[first + i] = mixed(values[i], gate[first + i]);
}

// Columns of a signal, turned for the rows: blockIdx.y counts signals from `first` on, and from 0 in scratch. `filters`, where
// it is not null, has `length` values of each in place of signals. Dynamic shared memory: rows * COLUMNS values.
extern "C" __global__ void transform_columns(const u32 *signals, const Complex *filters, const Complex *roots, int length,
                                             int rows, int width, u32 first, Complex *scratch) {
    DYNAMIC_SHARED(Complex, tile);
    int column = threadIdx.x % COLUMNS, thread = threadIdx.x / COLUMNS, threads = blockDim.x / COLUMNS;
    int at = blockIdx.x * COLUMNS + column;
    u64 signal = (u64)(first + blockIdx.y) * length;
    Column values = {tile + column};
    for (int row = thread; row < rows; row += threads) {
        int i = row * width + at;
        Complex value = {0.0f, 0.0f};
        if (at < width && i < length) value = filters ? filters[signal + i] : signal_of(signals[signal + i]);
        values[row] = value;
    }
    __syncthreads();
    transform(values, rows, rows, roots, thread, threads);
    if (at >= width) return;
    for (int row = thread; row < rows; row += threads) {
        Complex root = roots[rows * width + frequency_at(row, rows) * at];
        scratch[((u64)blockIdx.y * rows + row) * width + at] = times(values[row], root);
    }
}

// The rows of a signal that a block has: of frequency p = blockIdx.x and its mirror, if that is another.
struct RowPair {
    Complex *low, *high;
    int width, count;
};

static __device__ RowPair rows_of_block(Complex *scratch, int rows, int width) {
    int p = blockIdx.x;
    Complex *signal = scratch + (u64)blockIdx.y * rows * width;
    Complex *low = signal + place_of(p, rows) * width, *high = signal + place_of((rows - p) & (rows - 1), rows) * width;
    return {low, high, width, low == high ? width : 2 * width};
}

// Loads both rows and transforms them, one behind the other.
static __device__ void transform_rows(Padded values, RowPair pair, const Complex *roots) {
    for (int i = threadIdx.x; i < pair.count; i += blockDim.x)
        values[i] = i < pair.width ? pair.low[i] : pair.high[i - pair.width];
    __syncthreads();
    transform(values, pair.count, pair.width, roots, threadIdx.x, blockDim.x);
}

// Rows of signals from `first` on, there and back. Dynamic shared memory: width * 17 / 8 values.
extern "C" __global__ void convolve_rows(Complex *scratch, const Complex *spectra, const Complex *roots, int rows, int width,
                                         u32 first, u32 texts) {
    DYNAMIC_SHARED(Complex, memory);
    Padded values = {memory};
    RowPair pair = rows_of_block(scratch, rows, width);
    transform_rows(values, pair, roots);
    int size = rows * width, high_row = pair.count - width;
    const Complex *sums = spectra + spectra_at((first + blockIdx.y) / texts, size), *differences = sums + size / 2 + 1;
    visit_row(blockIdx.x, rows, width, [=](int entry, int low, int high) {
        multiply_pair(values[low], values[high_row + high], sums[entry], differences[entry]);
    });
    __syncthreads();
    transform_back(values, pair.count, width, roots, threadIdx.x, blockDim.x);
    for (int i = threadIdx.x; i < pair.count; i += blockDim.x)
        (i < width ? pair.low[i] : pair.high[i - width]) = values[i];
}

// Columns, back: the texts' signals are replaced in `gate` as in convolve_texts.
extern "C" __global__ void restore_columns(const Complex *scratch, const Complex *roots, int length, int rows, int width,
                                           u32 first, u16 *gate) {
    DYNAMIC_SHARED(Complex, tile);
    int column = threadIdx.x % COLUMNS, thread = threadIdx.x / COLUMNS, threads = blockDim.x / COLUMNS;
    int at = blockIdx.x * COLUMNS + column;
    Column values = {tile + column};
    for (int row = thread; row < rows; row += threads) {
        Complex value = {0.0f, 0.0f};
        if (at < width) {
            Complex root = roots[rows * width + frequency_at(row, rows) * at];
            value = times(scratch[((u64)blockIdx.y * rows + row) * width + at], conjugate(root));
        }
        values[row] = value;
    }
    __syncthreads();
    transform_back(values, rows, rows, roots, thread, threads);
    u64 signal = (u64)(first + blockIdx.y) * length;
    for (int row = thread; row < rows; row += threads) {
        int i = row * width + at;
        if (at < width && i < length) gate[signal + i] = mixed(values[row], gate[signal + i]);
    }
}

// P and M of the filters of channels from `first` on, whose columns were transformed: one filter of a channel is the real part
// and one the imaginary. Both are divided by `size`, which the way back is not. Dynamic shared memory as in convolve_rows.
extern "C" __global__ void filter_rows(Complex *scratch, const Complex *roots, int rows, int width, u32 first,
                                       Complex *spectra) {
    DYNAMIC_SHARED(Complex, memory);
    Padded values = {memory};
    RowPair pair = rows_of_block(scratch, rows, width);
    transform_rows(values, pair, roots);
    int size = rows * width, high_row = pair.count - width;
    Complex *sums = spectra + spectra_at(first + blockIdx.y, size), *differences = sums + size / 2 + 1;
    float scale = 0.25f / (float)size;
    visit_row(blockIdx.x, rows, width, [=](int entry, int low, int high) {
        Complex a = values[low], b = conjugate(values[high_row + high]);
        // The spectra of both filters, each times two; the second is (a - b) / i.
        Complex k1 = plus(a, b), k2 = {a.im - b.im, b.re - a.re};
        Complex sum = plus(k1, k2), difference = minus(k1, k2);
        sums[entry] = {sum.re * scale, sum.im * scale};
        differences[entry] = {difference.re * scale, difference.im * scale};
    });
}
