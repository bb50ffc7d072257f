// Exact similarities of shortlists against dense rows, and of multi-vectors.

static __device__ float number_at(const void *rows, u64 at, bool halves) {
    return halves ? half_to_float(((const u16 *)rows)[at]) : ((const float *)rows)[at];
}

// The similarity of a query and each row of its shortlist, a warp for each: dot products, or minus squared distances.
// Rows are numbers of 32 or 16 bits. blockIdx.y is the query; a shortlist has `length` rows.
extern "C" __global__ void verify_rows(const void *rows, int halves, int dims, const float *queries, const u32 *shortlist,
                                       u32 length, int squared_distance, float *similarities) {
    u32 at = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = threadIdx.x % 32;
    if (at >= length) return;
    u64 candidate = (u64)blockIdx.y * length + at;
    u64 first = (u64)shortlist[candidate] * dims;
    const float *query = queries + (u64)blockIdx.y * dims;
    float sum = 0.0f;
    for (int dim = lane; dim < dims; dim += 32) {
        float value = number_at(rows, first + dim, halves);
        float difference = query[dim] - value;
        sum += squared_distance ? difference * difference : query[dim] * value;
    }
    sum = warp_sum(sum);
    if (lane == 0) similarities[candidate] = squared_distance ? -sum : sum;
}

// MaxSim of a query of `query_tokens` tokens and multi-vectors of halves: the sum, over tokens of the query, of the
// largest dot product with a token of the point. One block a point; the tokens of point p are those from starts[p] up
// to starts[p + 1]. Of a point without tokens it is minus infinity. Dynamic shared memory: a number for each token of
// the query.
extern "C" __global__ void max_sim(const u16 *tokens, const u32 *starts, int dims, const float *query, int query_tokens,
                                   float *similarities) {
    DYNAMIC_SHARED(float, largest);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    u32 first = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    for (int q = warp; q < query_tokens; q += warps) {
        float best = -INFINITE;
        for (u32 token = first; token < end; token++) {
            float sum = 0.0f;
            for (int dim = lane; dim < dims; dim += 32)
                sum += query[q * dims + dim] * half_to_float(tokens[(u64)token * dims + dim]);
            sum = warp_sum(sum);
            // Not fmaxf, whose choice between a number and what is none is its own.
            if (sum > best) best = sum;
        }
        if (lane == 0) largest[q] = best;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        float sum = 0.0f;
        for (int q = 0; q < query_tokens; q++) sum += largest[q];
        similarities[blockIdx.x] = sum;
    }
}
