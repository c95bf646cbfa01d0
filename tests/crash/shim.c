/* Stands between a process and libc (LD_PRELOAD): numbers every operation that changes the file system below one folder,
 * over all threads and processes together, and at the n-th of them kills all of these processes, refuses for want of
 * space, or writes down what was done.
 *
 * One control block, a mapped file, is shared by all (its layout is mirrored in shim.py). Its mutex is held from before
 * an operation until after it: the numbering is exact, and nothing else changes the folder while the process dies.
 * A call that would change nothing (unlink of a missing name, open of an existing file) has no number.
 */
#include "shim.h"

/* -- names ---------------------------------------------------------------------------------------------------------- */

static int open_any(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX + NAME_MAX];
    struct stat seen;
    int changing = flags & (O_CREAT | O_TRUNC);
    if (!changing || !resolve(folder, name, path)) return (int)syscall(SYS_openat, folder, name, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE) unsupported("O_TMPFILE", path);
    int there = exists(path, &seen);
    int creates = !there && (flags & O_CREAT), cuts = there && (flags & O_TRUNC) && seen.st_size > 0;
    if (!creates && !cuts) return (int)syscall(SYS_openat, folder, name, flags, mode);
    struct operation op = {.kind = creates ? "create" : "truncate", .path = path, .grows = creates};
    if (begin(&op)) return -1;
    int fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (fd >= 0 && !fstat(fd, &seen)) op.ino = (long)seen.st_ino, op.mode = seen.st_mode & 07777;
    end(&op, fd < 0);
    return fd;
}

#define MODE(last)                                 \
    mode_t mode = 0;                               \
    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) { \
        va_list more;                              \
        va_start(more, last);                      \
        mode = va_arg(more, mode_t);               \
        va_end(more);                              \
    }

int open(const char *name, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags) return open_any(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE(flags) return open_any(folder, name, flags | O_LARGEFILE, mode); }
int creat(const char *name, mode_t mode) { return open_any(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }
int __open_2(const char *name, int flags) { return open_any(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_any(AT_FDCWD, name, flags, 0); }
int __openat_2(int folder, const char *name, int flags) { return open_any(folder, name, flags, 0); }
int __openat64_2(int folder, const char *name, int flags) { return open_any(folder, name, flags, 0); }

static int rename_any(int from, const char *old, int to, const char *fresh, unsigned flags) {
    char path[PATH_MAX + NAME_MAX], other[PATH_MAX + NAME_MAX];
    struct stat seen;
    int here = resolve(from, old, path), there = resolve(to, fresh, other);
    if ((!here && !there) || !exists(path, &seen)) return (int)syscall(SYS_renameat2, from, old, to, fresh, flags);
    if (flags || here != there) unsupported("rename", path);
    struct operation op = {.kind = "rename", .path = path, .other = other};
    return (int)RUN(&op, syscall(SYS_renameat2, from, old, to, fresh, flags));
}

int rename(const char *old, const char *fresh) { return rename_any(AT_FDCWD, old, AT_FDCWD, fresh, 0); }
int renameat(int from, const char *old, int to, const char *fresh) { return rename_any(from, old, to, fresh, 0); }
int renameat2(int from, const char *old, int to, const char *fresh, unsigned flags) { return rename_any(from, old, to, fresh, flags); }

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX + NAME_MAX];
    struct stat seen;
    if (!resolve(folder, name, path) || !exists(path, &seen)) return (int)syscall(SYS_unlinkat, folder, name, flags);
    struct operation op = {.kind = flags & AT_REMOVEDIR ? "rmdir" : "unlink", .path = path};
    return (int)RUN(&op, syscall(SYS_unlinkat, folder, name, flags));
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int remove(const char *name) {
    struct stat seen;
    return unlinkat(AT_FDCWD, name, exists(name, &seen) && S_ISDIR(seen.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX + NAME_MAX];
    struct stat seen;
    if (!resolve(folder, name, path) || exists(path, &seen)) return (int)syscall(SYS_mkdirat, folder, name, mode);
    struct operation op = {.kind = "mkdir", .path = path, .grows = 1};
    if (begin(&op)) return -1;
    int failed = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (!failed && exists(path, &seen)) op.ino = (long)seen.st_ino, op.mode = seen.st_mode & 07777;
    end(&op, failed);
    return failed;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int symlinkat(const char *target, int folder, const char *name) {
    char path[PATH_MAX + NAME_MAX];
    struct stat seen;
    if (!resolve(folder, name, path) || exists(path, &seen)) return (int)syscall(SYS_symlinkat, target, folder, name);
    struct operation op = {.kind = "symlink", .path = path, .other = target, .grows = 1};
    return (int)RUN(&op, syscall(SYS_symlinkat, target, folder, name));
}

int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

int linkat(int from, const char *old, int to, const char *fresh, int flags) {
    char path[PATH_MAX + NAME_MAX], other[PATH_MAX + NAME_MAX];
    resolve(from, old, path);
    if (!resolve(to, fresh, other)) return (int)syscall(SYS_linkat, from, old, to, fresh, flags);
    struct operation op = {.kind = "link", .path = path, .other = other, .grows = 1};
    return (int)RUN(&op, syscall(SYS_linkat, from, old, to, fresh, flags));
}

int link(const char *old, const char *fresh) { return linkat(AT_FDCWD, old, AT_FDCWD, fresh, 0); }

/* -- contents ------------------------------------------------------------------------------------------------------- */

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset, int placed) {
    char path[PATH_MAX];
    struct stat seen;
    if (!length || !resolve_fd(fd, path) || fstat(fd, &seen) || !S_ISREG(seen.st_mode))
        return placed ? syscall(SYS_pwrite64, fd, data, length, offset) : syscall(SYS_write, fd, data, length);
    long place = placed ? offset : syscall(SYS_lseek, fd, 0, SEEK_CUR);
    if (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) place = seen.st_size;
    struct operation op = {.kind = "write", .path = path, .ino = (long)seen.st_ino, .offset = place,
                           .length = (long)length, .data = data, .grows = 1};
    if (begin(&op)) return -1;
    if (op.half) op.length = (long)(length = length / 2);
    ssize_t done = placed ? syscall(SYS_pwrite64, fd, data, length, offset) : syscall(SYS_write, fd, data, length);
    if (done >= 0) op.length = done;
    end(&op, done < 0);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return write_at(fd, data, length, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return write_at(fd, data, length, offset, 1); }

/* Nobody here writes with these; a run in which somebody does is no proof of anything. */
#define FORBIDDEN(fd, name)                                     \
    char path[PATH_MAX];                                        \
    if (resolve_fd(fd, path)) unsupported(name, path)

ssize_t writev(int fd, const struct iovec *parts, int count) { FORBIDDEN(fd, "writev"); return syscall(SYS_writev, fd, parts, count); }
ssize_t sendfile(int to, int from, off_t *offset, size_t count) { FORBIDDEN(to, "sendfile"); return syscall(SYS_sendfile, to, from, offset, count); }
ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) { FORBIDDEN(to, "sendfile"); return syscall(SYS_sendfile, to, from, offset, count); }
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t count, unsigned flags) {
    FORBIDDEN(to, "copy_file_range");
    return syscall(SYS_copy_file_range, from, a, to, b, count, flags);
}

int ftruncate(int fd, off_t length) {
    char path[PATH_MAX];
    if (!resolve_fd(fd, path)) return (int)syscall(SYS_ftruncate, fd, length);
    struct operation op = {.kind = "truncate", .path = path, .ino = ino_of_fd(fd), .length = length};
    return (int)RUN(&op, syscall(SYS_ftruncate, fd, length));
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int truncate(const char *name, off_t length) {
    char path[PATH_MAX + NAME_MAX];
    if (!resolve(AT_FDCWD, name, path)) return (int)syscall(SYS_truncate, name, length);
    struct operation op = {.kind = "truncate", .path = path, .ino = ino_of(path), .length = length};
    return (int)RUN(&op, syscall(SYS_truncate, name, length));
}

int truncate64(const char *name, off64_t length) { return truncate(name, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    char path[PATH_MAX];
    if (!resolve_fd(fd, path)) return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (mode) unsupported("fallocate", path);
    struct operation op = {.kind = "allocate", .path = path, .ino = ino_of_fd(fd), .offset = offset, .length = length, .grows = 1};
    return (int)RUN(&op, syscall(SYS_fallocate, fd, mode, offset, length));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }

/* -- permissions and times ------------------------------------------------------------------------------------------ */

int fchmod(int fd, mode_t mode) {
    char path[PATH_MAX];
    if (!resolve_fd(fd, path)) return (int)syscall(SYS_fchmod, fd, mode);
    struct operation op = {.kind = "chmod", .path = path, .ino = ino_of_fd(fd), .mode = mode};
    return (int)RUN(&op, syscall(SYS_fchmod, fd, mode));
}

int fchmodat(int folder, const char *name, mode_t mode, int flags) {
    char path[PATH_MAX + NAME_MAX];
    if (!resolve(folder, name, path)) return NEXT(fchmodat, folder, name, mode, flags);
    struct operation op = {.kind = "chmod", .path = path, .ino = ino_of(path), .mode = mode};
    return (int)RUN(&op, NEXT(fchmodat, folder, name, mode, flags));
}

int chmod(const char *name, mode_t mode) { return fchmodat(AT_FDCWD, name, mode, 0); }

static int set_times(int folder, const char *name, const struct timespec *times, int flags, const char *path) {
    struct operation op = {.kind = "utime", .path = path};
    return (int)RUN(&op, syscall(SYS_utimensat, folder, name, times, flags));
}

int utimensat(int folder, const char *name, const struct timespec times[2], int flags) {
    char path[PATH_MAX + NAME_MAX];
    if (!resolve(folder, name, path)) return (int)syscall(SYS_utimensat, folder, name, times, flags);
    return set_times(folder, name, times, flags, path);
}

int futimens(int fd, const struct timespec times[2]) {
    char path[PATH_MAX];
    if (!resolve_fd(fd, path)) return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
    return set_times(fd, NULL, times, 0, path);
}

/* -- durability ----------------------------------------------------------------------------------------------------- */

static int sync_any(int fd, const char *kind, long call) {
    char path[PATH_MAX];
    if (!resolve_fd(fd, path)) return (int)syscall(call, fd);
    struct operation op = {.kind = kind, .path = path, .ino = ino_of_fd(fd)};
    return (int)RUN(&op, syscall(call, fd));
}

int fsync(int fd) { return sync_any(fd, "fsync", SYS_fsync); }
int fdatasync(int fd) { return sync_any(fd, "fsync", SYS_fdatasync); }
int syncfs(int fd) { return sync_any(fd, "syncfs", SYS_syncfs); }

void *mmap64(void *start, size_t length, int protection, int flags, int fd, off64_t offset) {
    char path[PATH_MAX];
    int shared = (flags & MAP_SHARED) && (protection & PROT_WRITE) && fd >= 0;
    size_t size = 0;
    if (shared && resolve_fd(fd, path)) {
        size = strlen(path);
        /* SQLite's index of its write-ahead log is rebuilt by the first who opens it: the one mapping that may be lost. */
        if (size < 4 || strcmp(path + size - 4, "-shm")) unsupported("mmap", path);
    }
    return (void *)syscall(SYS_mmap, start, length, protection, flags, fd, offset);
}

void *mmap(void *start, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(start, length, protection, flags, fd, offset);
}
