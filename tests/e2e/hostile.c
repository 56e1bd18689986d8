/* A machine with one fault, for LD_PRELOAD: built with -DCLOCK, -DLOCKS or -DTEMPORARY by test_hostile.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifdef CLOCK /* the time of day jumps three days back or forth every two seconds */
int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        at->tv_sec += (at->tv_sec / 2 % 3 - 1) * 3 * 86400;
    return failed;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
#endif

#ifdef LOCKS /* as on a network share mounted without locks */
int flock(int handle, int operation) {
    (void)handle, (void)operation;
    errno = ENOLCK;
    return -1;
}
#endif

#ifdef TEMPORARY /* nothing new in /tmp and /var/tmp, but below $HOSTILE_KEEP */
static int refused(const char *path) {
    const char *keep = getenv("HOSTILE_KEEP");
    if (keep && !strncmp(path, keep, strlen(keep)))
        return 0;
    return !strncmp(path, "/tmp/", 5) || !strncmp(path, "/var/tmp/", 9);
}

int mkdir(const char *path, mode_t mode) {
    if (refused(path)) {
        errno = EROFS;
        return -1;
    }
    return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
        if (refused(path)) {
            errno = EROFS;
            return -1;
        }
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
#endif
