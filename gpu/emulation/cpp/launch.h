// Which kernels there are, and the door that the host comes through.

static std::mutex one_at_a_time;

#define KERNELS(each) \
    each(merge_best) each(select_rows) each(score_codes) each(scan_lists) each(collect) each(decode_queries) \
    each(batch_scores) each(rotate_rows) each(quantize_rows) each(verify_rows) each(max_sim) \
    each(nearest_lists) each(rotate_rows_back) each(map_rows) each(unit_rows) each(leave_over) each(add_signs) \
    each(embed_tokens) each(add_and_normalize) each(activate) each(attend) \
    each(convolve_texts) each(transform_columns) each(convolve_rows) each(restore_columns) each(filter_rows) \
    each(split_signals) each(gather_rows) each(gate_values)

// Runs a kernel; returns null, or what went wrong.
extern "C" const char *emulated_launch(const char *name, const unsigned *grid, unsigned threads, unsigned shared_bytes,
                                       void **args, int levels, int width, int downwards) {
    std::lock_guard<std::mutex> guard(one_at_a_time);
    emulated::levels = levels;
    emulated::width = width;
    emulated::block_dim = {threads, 1, 1};
    emulated::shared.assign((shared_bytes + 7) / 8, 0);
#define TRY(kernel) \
    if (std::string(name) == #kernel) return emulated::run(kernel, grid, args, downwards != 0);
    KERNELS(TRY)
    return "no such kernel";
}
