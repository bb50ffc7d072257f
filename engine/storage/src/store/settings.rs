//! How RocksDB is set up, and why.

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamilyDescriptor, CompactOptions,
    DBCompressionType, DBRecoveryMode, Env, InfoLogger, LogLevel, Options, ReadOptions,
    WriteOptions,
};

use super::{Family, StoreConfig};

const MIB: usize = 1 << 20;

/// Returns the options of the whole database.
pub(super) fn database(config: &StoreConfig) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A torn record at the end of a log was never acknowledged, so it is dropped; damage before
    // the end is an error, where RocksDB's default would silently serve the state before it.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_paranoid_checks(true);
    // A log that is missing or shorter than it was when it was closed is an error.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(config.max_log_bytes);
    options.set_db_write_buffer_size(size(config.write_buffer_bytes));
    options.set_max_open_files(i32::try_from(config.max_open_files).unwrap_or(i32::MAX));
    options.increase_parallelism(i32::try_from(config.background_threads).unwrap_or(i32::MAX));
    if let Ok(mut env) = Env::new() {
        // Compactions give way; write buffers do not, because writes wait for them.
        env.lower_thread_pool_cpu_priority();
        options.set_env(&env);
    }
    // Opening reads the manifest, not the files.
    options.set_skip_stats_update_on_db_open(true);
    options.set_bytes_per_sync(MIB as u64);
    // What a compaction reads ahead and writes at once; RocksDB's own, unless buffers are small.
    let part = size(buffer_bytes(config)) / 8;
    options.set_compaction_readahead_size(part.min(2 * MIB));
    options.set_writable_file_max_buffer_size(part.min(MIB) as u64);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(4 * MIB);
    options.set_keep_log_file_num(4);
    options
}

/// Returns the options of a database that is only looked at: RocksDB writes no file, its log of
/// what it does included.
pub(super) fn looking(config: &StoreConfig) -> Options {
    let mut options = database(config);
    options.create_if_missing(false);
    options.create_missing_column_families(false);
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    options
}

/// Returns every family, with its options.
pub(super) fn families(config: &StoreConfig, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let describe =
        |family: Family| ColumnFamilyDescriptor::new(family.name(), family_options(config, cache));
    Family::ALL.into_iter().map(describe).collect()
}

fn family_options(config: &StoreConfig, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 << 10);
    // Ten bits per key: one miss in a hundred reads a block. Upserts of new points ask for keys
    // that do not exist, which this answers from memory.
    table.set_bloom_filter(10.0, false);
    // Indexes and filters are part of the budget too.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(size(buffer_bytes(config)));
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// Returns the options of a compaction that somebody asked for: down to the last level, where
/// deleted rows go.
pub(super) fn compaction() -> CompactOptions {
    let mut options = CompactOptions::default();
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    options
}

/// Returns the bytes of one write buffer, and what RocksDB wants to see free before it goes on after
/// the disk was full.
pub(super) fn buffer_bytes(config: &StoreConfig) -> u64 {
    config.write_buffer_bytes.clamp(MIB as u64, 64 * MIB as u64)
}

/// Returns the options of every write: on disk before it is acknowledged.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// Returns the options of every read.
pub(super) fn checked() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
