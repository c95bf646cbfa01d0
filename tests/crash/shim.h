/* The counting, the killing and the noting down: what every wrapper of shim.c does around its one system call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { COUNT, BEFORE, AFTER, HALF, NOSPACE, TRACE };
enum { PIDS = 1024, TEXT = 1024, TRACE_FD = 900 };

struct control {
    long mode, target, span;           /* span: how many operations that need space are refused from the target on */
    long operations, halves, growing;  /* seen so far: all; writes of two bytes or more; those that need space */
    long refused, fired, unsupported, npids;
    int pids[PIDS];
    char prefix[TEXT], trace[TEXT], what[TEXT];
    pthread_mutex_t lock;
};

struct operation {
    const char *kind, *path, *other;
    long ino, offset, length, mode;
    const void *data;
    int grows, half, counted;
    long number;
};

static struct control *control;
static int trace_fd = -1;
static __thread int inside;

/* Not through PLT: the shim's own calls must not meet the shim. */
#define NEXT(name, ...) ((__typeof__(&name))next(#name))(__VA_ARGS__)

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static void enlist(void) {
    if (!control) return;
    long place = __atomic_fetch_add(&control->npids, 1, __ATOMIC_SEQ_CST);
    if (place < PIDS) control->pids[place] = (int)syscall(SYS_getpid);
}

static int attach(const char *path) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (mapped == MAP_FAILED) return -1;
    control = mapped;
    if (control->trace[0]) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, control->trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        trace_fd = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, TRACE_FD); /* out of the way of a closerange() */
        syscall(SYS_close, fd);
    }
    enlist();
    return 0;
}

/* Make a control block at `path` (mode and bounds are set by the caller, through its own mapping). */
int crash_create(const char *path) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof *control)) return -1;
    struct control *fresh = mmap(NULL, sizeof *fresh, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (fresh == MAP_FAILED) return -1;
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST); /* a worker may be killed by its parent at any moment */
    pthread_mutex_init(&fresh->lock, &kind);
    return munmap(fresh, sizeof *fresh);
}

/* Watch this process and all that it starts from now on. */
int crash_attach(const char *path) { return attach(path); }

__attribute__((constructor)) static void begin_process(void) {
    pthread_atfork(NULL, NULL, enlist);
    const char *path = getenv("CRASH_CONTROL");
    if (path) attach(path);
}

static void die(struct operation *op) {
    int self = (int)syscall(SYS_getpid);
    snprintf(control->what, TEXT, "%s %s", op->kind, op->path);
    control->fired = op->number;
    for (long place = 0; place < control->npids && place < PIDS; place++)
        if (control->pids[place] && control->pids[place] != self) syscall(SYS_kill, control->pids[place], SIGKILL);
    syscall(SYS_kill, self, SIGKILL);
    for (;;) syscall(SYS_pause);
}

static int below(const char *path) {
    size_t length = strlen(control->prefix);
    return !strncmp(path, control->prefix, length) && (path[length] == '/' || !path[length]);
}

static void unsupported(const char *name, const char *path) {
    if (control->unsupported++ == 0) snprintf(control->what, TEXT, "unsupported: %s %s", name, path);
}

/* The absolute path of a name; 1 when it lies below the folder. */
static int resolve(int folder, const char *name, char *path) {
    if (!control || inside || !name) return 0;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char link[64];
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
        if (length < 0) return 0;
        snprintf(path + length, PATH_MAX - (size_t)length, "/%s", name);
    }
    return below(path);
}

static int resolve_fd(int fd, char *path) {
    if (!control || inside) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int exists(const char *path, struct stat *seen) { return !syscall(SYS_newfstatat, AT_FDCWD, path, seen, AT_SYMLINK_NOFOLLOW); }

static long ino_of(const char *path) {
    struct stat seen;
    return exists(path, &seen) ? (long)seen.st_ino : 0;
}

static long ino_of_fd(int fd) {
    struct stat seen;
    return syscall(SYS_newfstatat, fd, "", &seen, AT_EMPTY_PATH) ? 0 : (long)seen.st_ino;
}

/* -1: refused, errno is set. */
static int begin(struct operation *op) {
    if (pthread_mutex_lock(&control->lock) == EOWNERDEAD) pthread_mutex_consistent(&control->lock);
    inside = 1;
    op->counted = 1;
    op->number = ++control->operations;
    int halves = op->data && op->length >= 2;
    if (halves) control->halves++;
    if (op->grows) control->growing++;
    if (control->mode == BEFORE && op->number == control->target) die(op);
    if (control->mode == HALF && halves && control->halves == control->target) op->half = 1;
    if (control->mode == NOSPACE && op->grows) {
        long past = control->growing - control->target;
        if (past == 0 && halves) op->half = 1; /* a disk that fills up takes a part first */
        else if (past >= 0 && past < control->span) {
            control->refused++;
            inside = 0;
            pthread_mutex_unlock(&control->lock);
            errno = ENOSPC;
            return -1;
        }
        if (op->half) control->refused++;
    }
    return 0;
}

static void note(struct operation *op) {
    char head[3 * PATH_MAX];
    long payload = op->data ? op->length : 0;
    int length = snprintf(head, sizeof head, "%s\t%ld\t%ld\t%ld\t%ld\t%lo\t%s\t%s\n", op->kind, op->number, op->ino, op->offset,
                          op->length, op->mode, op->path, op->other ? op->other : "");
    syscall(SYS_write, trace_fd, head, length);
    for (long done = 0; done < payload;) {
        ssize_t put = syscall(SYS_write, trace_fd, (const char *)op->data + done, payload - done);
        if (put <= 0) break;
        done += put;
    }
}

static void end(struct operation *op, int failed) {
    int error = errno;
    if (control->mode == AFTER && op->number == control->target) die(op);
    if (control->mode == HALF && op->half) die(op);
    if (control->mode == TRACE && !failed) note(op);
    inside = 0;
    pthread_mutex_unlock(&control->lock);
    errno = error;
}

#define RUN(op, call)                          \
    ({                                         \
        long result_ = -1;                     \
        if (!begin(op)) {                      \
            result_ = (call);                  \
            end(op, result_ < 0);              \
        }                                      \
        result_;                               \
    })
