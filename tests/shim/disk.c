/* A disk that takes notes and fails on purpose.
 *
 * Preloaded into a process, this stands between it and the C library and looks at every call that
 * changes files below one folder: those of our own code and those of RocksDB alike, in the one order
 * in which they happened. Each is written to a record, from which a test builds what a power cut
 * would have left; and a chosen one can be made to fail, or to kill the process.
 *
 *   DISK_ROOT     the folder, absolute; without it every call goes straight through
 *   DISK_RECORD   the record, outside the folder; nothing is recorded without it
 *   DISK_MARKS    a file outside the folder. What the process writes there goes into the record, in
 *                 order with everything else. Two lines are orders to the shim:
 *
 *                 "fault ERRNO STEP COUNT"  counting steps from now: from STEP on, COUNT of them
 *                                           fail with ERRNO; all of them if COUNT is 0, and if ERRNO
 *                                           is ENOSPC the file system says that it is full.
 *                                           ERRNO 0 kills the process
 *                 "repair"                  ends that, and leaves in the file "STEPS FAILED": the
 *                                           steps taken and how many of them failed
 *
 * A step is a call that changes something; where the error is ENOSPC, only one that needs space.
 *
 * The record is a sequence of
 *
 *   | kind u32 | file u32 | offset u64 | length u64 | length bytes |        little-endian
 *
 * where `file` numbers open files, and the bytes are what was written, or names.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    OPEN = 1,   /* name; offset: 1 created, 2 emptied */
    WRITE,      /* offset, bytes */
    RESIZE,     /* offset: the new length */
    SYNC,       /* a file */
    SYNC_FOLDER,/* name */
    RENAME,     /* name, zero, name */
    UNLINK,     /* name */
    MKDIR,      /* name */
    RMDIR,      /* name */
    MARK,       /* bytes */
};

enum { FDS = 1 << 16, PATH_BYTES = 4096 };

struct open_file {
    char *path;
    uint32_t number; /* 0: not below the folder */
    int is_folder;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct open_file files[FDS];
static const char *root, *marks;
static size_t root_length;
static int record = -1, marks_fd = -1;
static uint32_t last_number;

static int armed, fault_errno;
static long fault_step, fault_count, steps, failed;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "disk shim: no %s\n", name);
        abort();
    }
    return found;
}

static void start(void) {
    const char *path = getenv("DISK_RECORD");
    root = getenv("DISK_ROOT");
    marks = getenv("DISK_MARKS");
    if (!root) return;
    root_length = strlen(root);
    if (path) {
        int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        /* Out of the way of a process that counts its descriptors. */
        record = fcntl(fd, F_DUPFD_CLOEXEC, 900);
        REAL(close)(fd);
        if (record < 0) abort();
    }
}

static int is_below(const char *path) {
    return path && root && strncmp(path, root, root_length) == 0
        && (path[root_length] == '/' || path[root_length] == 0);
}

static void note(enum kind kind, uint32_t file, uint64_t offset, const void *bytes, size_t length) {
    struct { uint32_t kind, file; uint64_t offset, length; } header = {kind, file, offset, length};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)bytes, length}};
    size_t left = sizeof header + length;
    if (record < 0) return;
    while (left > 0) {
        ssize_t done = REAL(writev)(record, parts, 2);
        if (done < 0) abort();
        left -= (size_t)done;
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)done < parts[i].iov_len ? (size_t)done : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            done -= (ssize_t)part;
        }
    }
}

static void note_name(enum kind kind, const char *path) {
    note(kind, 0, 0, path + root_length, strlen(path + root_length));
}

/* Counts a step; returns the error it must fail with, or 0. */
static int step(int needs_space) {
    if (!armed || (fault_errno == ENOSPC && !needs_space)) return 0;
    if (steps++ < fault_step || (fault_count > 0 && failed >= fault_count)) return 0;
    if (fault_errno == 0) kill(getpid(), SIGKILL);
    failed++;
    return fault_errno;
}

static int refused(int error) {
    pthread_mutex_unlock(&lock);
    errno = error;
    return -1;
}

/* Enters a call on a path or descriptor below the folder. */
#define ENTER(needs_space)                          \
    pthread_mutex_lock(&lock);                      \
    do {                                            \
        int planned = step(needs_space);            \
        if (planned) return refused(planned);       \
    } while (0)

/* Leaves it; the error number of the real call survives. */
#define LEAVE(result)                               \
    do {                                            \
        int saved = errno;                          \
        pthread_mutex_unlock(&lock);                \
        errno = saved;                              \
        return result;                              \
    } while (0)

static const char *resolve(int folder, const char *path, char *buffer) {
    if (path[0] == '/' || folder < 0 || folder >= FDS || !files[folder].path) return path;
    snprintf(buffer, PATH_BYTES, "%s/%s", files[folder].path, path);
    return buffer;
}

static void remember(int fd, const char *path, int flags, int existed) {
    struct stat status;
    struct open_file *file;
    if (fd < 0 || fd >= FDS || fstat(fd, &status) != 0) return;
    file = &files[fd];
    free(file->path);
    file->path = strdup(path);
    file->is_folder = S_ISDIR(status.st_mode);
    file->number = ++last_number;
    if (!file->is_folder) {
        uint64_t what = (existed ? 0 : 1) | (flags & O_TRUNC ? 2 : 0);
        note(OPEN, file->number, what, path + root_length, strlen(path + root_length));
    }
}

static int open_common(int folder, const char *given, int flags, mode_t mode) {
    char buffer[PATH_BYTES];
    struct stat status;
    int fd, existed, writes;
    const char *path;
    pthread_once(&once, start);
    path = resolve(folder, given, buffer);
    if (!is_below(path)) {
        fd = REAL(openat)(folder, given, flags, mode);
        if (marks && (flags & O_ACCMODE) != O_RDONLY && strcmp(path, marks) == 0) marks_fd = fd;
        return fd;
    }
    existed = fstatat(folder, given, &status, 0) == 0;
    writes = (flags & O_CREAT && !existed) || (flags & O_TRUNC && existed);
    if (!writes) {
        pthread_mutex_lock(&lock);
    } else {
        ENTER(1);
    }
    fd = REAL(openat)(folder, given, flags, mode);
    if (fd >= 0) remember(fd, path, flags, existed);
    LEAVE(fd);
}

#define MODE(flags)                                 \
    mode_t mode = 0;                                \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {        \
        va_list more;                               \
        va_start(more, flags);                      \
        mode = va_arg(more, mode_t);                \
        va_end(more);                               \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_common(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_common(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_common(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_common(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_common(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static struct open_file *file_of(int fd) {
    pthread_once(&once, start);
    return fd >= 0 && fd < FDS && files[fd].number ? &files[fd] : NULL;
}

/* Forgets a descriptor, whoever is about to close it. */
static void forget(int fd) {
    struct open_file *file = file_of(fd);
    if (fd == marks_fd) marks_fd = -1;
    if (!file) return;
    pthread_mutex_lock(&lock);
    free(file->path);
    memset(file, 0, sizeof *file);
    pthread_mutex_unlock(&lock);
}

int close(int fd) { forget(fd); return REAL(close)(fd); }
int fclose(FILE *stream) { forget(fileno(stream)); return REAL(fclose)(stream); }
int closedir(DIR *stream) { forget(dirfd(stream)); return REAL(closedir)(stream); }

static void mark(int fd, const char *bytes, size_t length) {
    char order[64] = "";
    memcpy(order, bytes, length < sizeof order ? length : sizeof order - 1);
    pthread_mutex_lock(&lock);
    note(MARK, 0, 0, bytes, length);
    if (sscanf(order, "fault %d %ld %ld", &fault_errno, &fault_step, &fault_count) == 3) {
        armed = 1;
        steps = failed = 0;
    } else if (strncmp(order, "repair", 6) == 0) {
        int reply = snprintf(order, sizeof order, "%ld %ld\n", steps, failed);
        armed = 0;
        if (REAL(ftruncate64)(fd, 0) != 0 || REAL(pwrite64)(fd, order, (size_t)reply, 0) != reply) abort();
    }
    pthread_mutex_unlock(&lock);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    struct open_file *file = file_of(fd);
    if (fd == marks_fd && marks_fd >= 0) {
        mark(fd, bytes, length);
        return (ssize_t)length;
    }
    if (!file) return REAL(write)(fd, bytes, length);
    ENTER(1);
    ssize_t done = REAL(write)(fd, bytes, length);
    if (done > 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        note(WRITE, file->number, (uint64_t)(end - done), bytes, (size_t)done);
    }
    LEAVE(done);
}

static ssize_t pwrite_common(int fd, const void *bytes, size_t length, off_t offset) {
    struct open_file *file = file_of(fd);
    if (!file) return REAL(pwrite64)(fd, bytes, length, offset);
    ENTER(1);
    ssize_t done = REAL(pwrite64)(fd, bytes, length, offset);
    if (done > 0) note(WRITE, file->number, (uint64_t)offset, bytes, (size_t)done);
    LEAVE(done);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite_common(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite_common(fd, bytes, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!file_of(fd)) return REAL(writev)(fd, parts, count);
    /* One part at a time is a legal short write. */
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len > 0) return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

static int resize(int fd, off_t length) {
    struct open_file *file = file_of(fd);
    if (!file) return REAL(ftruncate64)(fd, length);
    ENTER(1);
    int result = REAL(ftruncate64)(fd, length);
    if (result == 0) note(RESIZE, file->number, (uint64_t)length, NULL, 0);
    LEAVE(result);
}

int ftruncate(int fd, off_t length) { return resize(fd, length); }
int ftruncate64(int fd, off64_t length) { return resize(fd, length); }

/* Space set aside beyond the end of a file changes no byte; anything else is refused, and the
 * callers go on without. */
static int allocate(int fd, int mode, off_t offset, off_t length) {
    if (!file_of(fd)) return REAL(fallocate64)(fd, mode, offset, length);
    if (mode & FALLOC_FL_KEEP_SIZE) return 0;
    errno = EOPNOTSUPP;
    return -1;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return allocate(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return allocate(fd, mode, offset, length); }

static int sync_common(int fd, int data_only) {
    struct open_file *file = file_of(fd);
    if (!file) return data_only ? REAL(fdatasync)(fd) : REAL(fsync)(fd);
    ENTER(0);
    /* What the record says is what lasts; the real disk may take its time. */
    if (file->is_folder) {
        note_name(SYNC_FOLDER, file->path);
    } else {
        note(SYNC, file->number, 0, NULL, 0);
    }
    LEAVE(0);
}

int fsync(int fd) { return sync_common(fd, 0); }
int fdatasync(int fd) { return sync_common(fd, 1); }

static int rename_common(int from_folder, const char *from, int to_folder, const char *to) {
    char from_buffer[PATH_BYTES], to_buffer[PATH_BYTES], names[2 * PATH_BYTES];
    pthread_once(&once, start);
    const char *full_from = resolve(from_folder, from, from_buffer);
    const char *full_to = resolve(to_folder, to, to_buffer);
    if (!is_below(full_from)) return REAL(renameat)(from_folder, from, to_folder, to);
    ENTER(1);
    int result = REAL(renameat)(from_folder, from, to_folder, to);
    if (result == 0) {
        size_t length = strlen(full_from + root_length) + 1;
        memcpy(names, full_from + root_length, length);
        strcpy(names + length, full_to + root_length);
        note(RENAME, 0, 0, names, length + strlen(names + length));
    }
    LEAVE(result);
}

int rename(const char *from, const char *to) { return rename_common(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int a, const char *from, int b, const char *to) { return rename_common(a, from, b, to); }

static int remove_common(int folder, const char *given, int flags) {
    char buffer[PATH_BYTES];
    pthread_once(&once, start);
    const char *path = resolve(folder, given, buffer);
    if (!is_below(path)) return REAL(unlinkat)(folder, given, flags);
    ENTER(0);
    int result = REAL(unlinkat)(folder, given, flags);
    if (result == 0) note_name(flags & AT_REMOVEDIR ? RMDIR : UNLINK, path);
    LEAVE(result);
}

int unlink(const char *path) { return remove_common(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return remove_common(folder, path, flags); }
int rmdir(const char *path) { return remove_common(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
    struct stat status;
    pthread_once(&once, start);
    if (!is_below(path) || stat(path, &status) == 0) return REAL(mkdir)(path, mode);
    ENTER(1);
    int result = REAL(mkdir)(path, mode);
    if (result == 0) note_name(MKDIR, path);
    LEAVE(result);
}

/* A disk that stays full says so. */
static int is_full(void) {
    return armed && fault_errno == ENOSPC && fault_count == 0 && steps > fault_step;
}

int statvfs64(const char *path, struct statvfs64 *status) {
    pthread_once(&once, start);
    int result = REAL(statvfs64)(path, status);
    if (result == 0 && is_below(path) && is_full()) status->f_bavail = status->f_bfree = 0;
    return result;
}

int statvfs(const char *path, struct statvfs *status) {
    return statvfs64(path, (struct statvfs64 *)status);
}
