// The list of each row: the nearest of some centroids, by exact distances.
//
// Tiles of rows are compared with one tile of centroids after the other; the best centroid of each row stays in
// registers until the last one.

// The nearest centroid of each row: that of the largest 2 <x, c> - shortfall, which is |c|^2 and what the list is made
// to seem further away by; the first of equal ones. blockIdx.y is a part of the centroids, `part` of them. Writes the
// largest key of each row (see key_of), which was 0 before; 0 stays where nothing is a number.
extern "C" __global__ void nearest_lists(const float *rows, u32 count, const float *centroids, const float *shortfalls,
                                         u32 lists, u32 part, int dims, u64 *best) {
    __shared__ float slabs[2 * SLAB];
    __shared__ u64 found[TILE * 16];
    u32 first_row = blockIdx.x * TILE, first_list = blockIdx.y * part;
    u32 end_list = lists - first_list < part ? lists : first_list + part;
    // This thread's rows are down, down + 16, ..; its centroids of each tile across, across + 16, ..
    int across = threadIdx.x % 16, down = threadIdx.x / 16;
    u64 mine[4] = {0};
    for (u32 tile = first_list; tile < end_list; tile += TILE) {
        float dots[4][4];
        multiply_tiles(slabs, rows, first_row, count, centroids, tile, end_list, dims, dots);
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
    if (threadIdx.x < TILE && row < count) {
        u64 largest = 0;
        for (int i = 0; i < 16; i++) {
            u64 key = found[threadIdx.x * 16 + i];
            if (key > largest) largest = key;
        }
        atomicMax(best + row, largest);
    }
}
