// What CUDA has beyond C++, for one thread of a host: the threads of a block are contexts that take turns, and give way
// only where CUDA makes them wait for each other. A block runs alone, so shared memory is static.
//
// Threads that wait for one that has ended, or at different barriers, are an error and not a hang.

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#define BIGRAIN_EMULATED
#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define LEVELS emulated::levels
#define WIDTH emulated::width
#define threadIdx emulated::thread_index
#define blockIdx emulated::block_index
#define blockDim emulated::block_dim
#define DYNAMIC_SHARED(type, name) type *name = (type *)emulated::shared.data()

namespace emulated {

struct Index {
    unsigned x, y, z;
};

static int levels, width;
static Index thread_index, block_index, block_dim;
static std::vector<uint64_t> shared;

struct Barrier {
    unsigned arrived = 0, generation = 0;
};

// What the lanes of a warp show each other.
struct Warp {
    Barrier barrier;
    uint32_t values[32];
    uint32_t a[32][4], b[32][2];
};

struct Thread {
    ucontext_t context;
    std::vector<char> stack;
    bool is_done = false;
};

static ucontext_t scheduler;
static std::vector<Thread> threads;
static std::vector<Warp> warps;
static Barrier block_barrier;
static unsigned current;
// Whether any thread went on since the scheduler last looked.
static bool went_on;

static void give_way() { swapcontext(&threads[current].context, &scheduler); }

// Waits until `count` threads have come.
static void wait(Barrier &barrier, unsigned count) {
    unsigned generation = barrier.generation;
    went_on = true;
    if (++barrier.arrived == count) {
        barrier.arrived = 0;
        barrier.generation++;
        return;
    }
    while (barrier.generation == generation) give_way();
    went_on = true;
}

static Warp &warp() { return warps[current / 32]; }
static void wait_for_warp() { wait(warp().barrier, 32); }

template <class Body>
struct Running {
    static Body *body;
    static void run() {
        (*body)();
        threads[current].is_done = true;
        went_on = true;
        give_way();
    }
};
template <class Body>
Body *Running<Body>::body;

// Runs a block; threads take turns upwards or, to find what depends on the order, downwards.
template <class Body>
const char *run_block(Body &body, bool downwards) {
    unsigned count = block_dim.x;
    std::memset(shared.data(), 0xa5, shared.size() * 8);
    block_barrier = Barrier();
    warps.assign((count + 31) / 32, Warp());
    if (threads.size() < count) threads.resize(count);
    Running<Body>::body = &body;
    for (unsigned i = 0; i < count; i++) {
        Thread &thread = threads[i];
        thread.is_done = false;
        thread.stack.resize(64 << 10);
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = thread.stack.size();
        thread.context.uc_link = &scheduler;
        makecontext(&thread.context, Running<Body>::run, 0);
    }
    for (unsigned left = count; left > 0;) {
        went_on = false;
        for (unsigned turn = 0; turn < count; turn++) {
            current = downwards ? count - 1 - turn : turn;
            if (threads[current].is_done) continue;
            thread_index = {current, 0, 0};
            swapcontext(&scheduler, &threads[current].context);
            if (threads[current].is_done) left--;
        }
        if (!went_on) return "threads of a block wait for each other for ever";
    }
    return nullptr;
}

// The arguments of a kernel, as cuLaunchKernel takes them: a pointer to each.
template <class... A, size_t... I>
const char *call(void (*kernel)(A...), void **args, bool downwards, std::index_sequence<I...>) {
    auto body = [&] { kernel(*(A *)args[I]...); };
    return run_block(body, downwards);
}

template <class... A>
const char *run(void (*kernel)(A...), const unsigned *grid, void **args, bool downwards) {
    for (unsigned y = 0; y < grid[1]; y++)
        for (unsigned x = 0; x < grid[0]; x++) {
            block_index = {downwards ? grid[0] - 1 - x : x, y, 0};
            const char *problem = call(kernel, args, downwards, std::index_sequence_for<A...>());
            if (problem) return problem;
        }
    return nullptr;
}

}  // namespace emulated

static inline void __syncthreads() { emulated::wait(emulated::block_barrier, emulated::block_dim.x); }
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

template <class To, class From>
static inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
static inline float __int_as_float(int bits) { return same_bits<float>(bits); }
static inline int __float_as_int(float value) { return same_bits<int>(value); }
static inline float __uint_as_float(unsigned bits) { return same_bits<float>(bits); }
static inline unsigned __float_as_uint(float value) { return same_bits<unsigned>(value); }

template <class T>
static inline T atomicAdd(T *to, T value) {
    T before = *to;
    *to += value;
    return before;
}

template <class T>
static inline T atomicMax(T *to, T value) {
    T before = *to;
    if (value > before) *to = value;
    return before;
}

static inline float __shfl_xor_sync(unsigned, float value, int distance) {
    emulated::warp().values[emulated::current % 32] = __float_as_uint(value);
    emulated::wait_for_warp();
    unsigned other = emulated::warp().values[(emulated::current % 32) ^ distance];
    emulated::wait_for_warp();
    return __uint_as_float(other);
}

static inline unsigned __ballot_sync(unsigned, int is_set) {
    emulated::warp().values[emulated::current % 32] = is_set != 0;
    emulated::wait_for_warp();
    unsigned bits = 0;
    for (int lane = 0; lane < 32; lane++) bits |= emulated::warp().values[lane] << lane;
    emulated::wait_for_warp();
    return bits;
}

// Bits of binary16: zeros and subnormals count in 2^-24; the exponent of others is 15 too high.
static float widened(unsigned bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 0 ? std::ldexp((float)fraction, -24) : std::ldexp((float)(fraction | 1024), exponent - 25);
    if (exponent == 31) value = fraction ? NAN : INFINITY;
    return bits >> 15 ? -value : value;
}

static std::vector<float> all_halves() {
    std::vector<float> values(1 << 16);
    for (unsigned bits = 0; bits < values.size(); bits++) values[bits] = widened(bits);
    return values;
}

static float half_to_float(unsigned short bits) {
    static const std::vector<float> values = all_halves();
    return values[bits];
}

// To nearest, ties to even.
static unsigned short float_to_half(float value) {
    unsigned sign = __float_as_uint(value) >> 16 & 0x8000, bits = __float_as_uint(value) & 0x7fffffff;
    float magnitude = __uint_as_float(bits);
    if (value != value) return 0x7fff;
    if (magnitude >= 65520.0f) return sign | 0x7c00;
    if (magnitude < 0x1p-14f) return sign | (unsigned)std::nearbyint(std::ldexp(magnitude, 24));
    return sign | (bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13;
}

// mma.m16n8k32 as the PTX manual has it: lane 4 g + i holds of a rows g and g + 8 at 4 i .. 4 i + 3 and 16 further, of b
// column g at the same places, of d rows g and g + 8 at columns 2 i and 2 i + 1.
static void multiply_bytes(int *d, const unsigned *a, const unsigned *b) {
    int lane = emulated::current % 32;
    std::memcpy(emulated::warp().a[lane], a, 16);
    std::memcpy(emulated::warp().b[lane], b, 8);
    emulated::wait_for_warp();
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 32; k++) {
            unsigned of_a = emulated::warp().a[row % 8 * 4 + k % 16 / 4][row / 8 + k / 16 * 2];
            unsigned of_b = emulated::warp().b[column * 4 + k % 16 / 4][k / 16];
            d[i] += (int)(signed char)(of_a >> (k % 4 * 8)) * (int)(unsigned char)(of_b >> (k % 4 * 8));
        }
    }
    emulated::wait_for_warp();
}

// mma.m16n8k16 as the PTX manual has it: lane 4 g + i holds of a rows g and g + 8 at 2 i, 2 i + 1 and 8 further, of b
// column g at the same places, of d rows g and g + 8 at columns 2 i and 2 i + 1.
static void multiply_halves(float *d, const unsigned *a, const unsigned *b) {
    int lane = emulated::current % 32;
    std::memcpy(emulated::warp().a[lane], a, 16);
    std::memcpy(emulated::warp().b[lane], b, 8);
    emulated::wait_for_warp();
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            unsigned of_a = emulated::warp().a[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            unsigned of_b = emulated::warp().b[column * 4 + k % 8 / 2][k / 8];
            d[i] += half_to_float((unsigned short)(of_a >> k % 2 * 16)) * half_to_float((unsigned short)(of_b >> k % 2 * 16));
        }
    }
    emulated::wait_for_warp();
}
