// The calls that are answered instead of the C library's. Everything that is not to fail goes to the
// kernel as it came. (A program that makes system calls without the C library is not reached: every
// user of this checks that `struck` has grown.)
#define _GNU_SOURCE
#include "FailingFiles.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// glibc declares some of these as macros or inline.
#undef pread64
#undef pwrite64
#undef preadv64
#undef pwritev64
#undef preadv64v2
#undef pwritev64v2
#undef ftruncate64
#undef fallocate64
#undef posix_fallocate64

enum { DESCRIPTORS = 65536 };

static struct failing_control *control;
// Whether a sync of this descriptor was failed since it was opened.
static atomic_char failed_sync[DESCRIPTORS];

__attribute__((constructor)) static void map_control(void) {
  const char *path = getenv("FAILING_FILES");
  int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *memory = mmap(NULL, FAILING_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory != MAP_FAILED) control = memory;
  syscall(SYS_close, file);
}

static int matches(int descriptor) {
  char link[64], path[PATH_MAX], pattern[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = 0;
  for (const char *line = control->patterns; *line;) {
    size_t count = strcspn(line, "\n");
    if (count > 0 && count < sizeof pattern) {
      memcpy(pattern, line, count);
      pattern[count] = 0;
      if (fnmatch(pattern, path, 0) == 0) return 1;
    }
    line += count + (line[count] == '\n');
  }
  return 0;
}

// The errno to answer; 0: the call is to be made. errno stays as it is.
static int failure(uint32_t operation, int descriptor) {
  if (!control || !(__atomic_load_n(&control->operations, __ATOMIC_ACQUIRE) & operation)) return 0;
  int before = errno;
  int strikes = matches(descriptor);
  errno = before;
  if (!strikes) return 0;
  __atomic_fetch_add(&control->struck, 1, __ATOMIC_RELAXED);
  int error = (int)control->error;
  const struct timespec pause = {.tv_nsec = 5000000};
  while (!error && __atomic_load_n(&control->operations, __ATOMIC_ACQUIRE) & operation)
    nanosleep(&pause, NULL);
  errno = before;
  return error;
}

#define FAIL_OR(operation, descriptor, type, call)     \
  do {                                                 \
    int error = failure(operation, descriptor);        \
    if (error == 0) return (type)(call);               \
    errno = error;                                     \
    return -1;                                         \
  } while (0)

// Reading

ssize_t read(int file, void *to, size_t count) {
  FAIL_OR(FAILING_READ, file, ssize_t, syscall(SYS_read, file, to, count));
}
ssize_t __read_chk(int file, void *to, size_t count, size_t room) {
  if (count > room) abort();
  return read(file, to, count);
}
ssize_t pread64(int file, void *to, size_t count, off_t at) {
  FAIL_OR(FAILING_READ, file, ssize_t, syscall(SYS_pread64, file, to, count, at));
}
ssize_t pread(int file, void *to, size_t count, off_t at) { return pread64(file, to, count, at); }
ssize_t __pread64_chk(int file, void *to, size_t count, off_t at, size_t room) {
  if (count > room) abort();
  return pread64(file, to, count, at);
}
ssize_t __pread_chk(int file, void *to, size_t count, off_t at, size_t room) {
  return __pread64_chk(file, to, count, at, room);
}
ssize_t readv(int file, const struct iovec *to, int count) {
  FAIL_OR(FAILING_READ, file, ssize_t, syscall(SYS_readv, file, to, count));
}
ssize_t preadv64(int file, const struct iovec *to, int count, off_t at) {
  FAIL_OR(FAILING_READ, file, ssize_t, syscall(SYS_preadv, file, to, count, at, 0));
}
ssize_t preadv(int file, const struct iovec *to, int count, off_t at) {
  return preadv64(file, to, count, at);
}

ssize_t preadv64v2(int file, const struct iovec *to, int count, off_t at, int flags) {
  FAIL_OR(FAILING_READ, file, ssize_t, syscall(SYS_preadv2, file, to, count, at, 0, flags));
}
ssize_t preadv2(int file, const struct iovec *to, int count, off_t at, int flags) {
  return preadv64v2(file, to, count, at, flags);
}

// Writing

ssize_t write(int file, const void *from, size_t count) {
  FAIL_OR(FAILING_WRITE, file, ssize_t, syscall(SYS_write, file, from, count));
}
ssize_t pwrite64(int file, const void *from, size_t count, off_t at) {
  FAIL_OR(FAILING_WRITE, file, ssize_t, syscall(SYS_pwrite64, file, from, count, at));
}
ssize_t pwrite(int file, const void *from, size_t count, off_t at) {
  return pwrite64(file, from, count, at);
}
ssize_t writev(int file, const struct iovec *from, int count) {
  FAIL_OR(FAILING_WRITE, file, ssize_t, syscall(SYS_writev, file, from, count));
}
ssize_t pwritev64(int file, const struct iovec *from, int count, off_t at) {
  FAIL_OR(FAILING_WRITE, file, ssize_t, syscall(SYS_pwritev, file, from, count, at, 0));
}
ssize_t pwritev(int file, const struct iovec *from, int count, off_t at) {
  return pwritev64(file, from, count, at);
}
ssize_t pwritev64v2(int file, const struct iovec *from, int count, off_t at, int flags) {
  FAIL_OR(FAILING_WRITE, file, ssize_t, syscall(SYS_pwritev2, file, from, count, at, 0, flags));
}
ssize_t pwritev2(int file, const struct iovec *from, int count, off_t at, int flags) {
  return pwritev64v2(file, from, count, at, flags);
}
int ftruncate64(int file, off_t length) {
  FAIL_OR(FAILING_WRITE, file, int, syscall(SYS_ftruncate, file, length));
}
int ftruncate(int file, off_t length) { return ftruncate64(file, length); }
int fallocate64(int file, int mode, off_t at, off_t length) {
  FAIL_OR(FAILING_WRITE, file, int, syscall(SYS_fallocate, file, mode, at, length));
}
int fallocate(int file, int mode, off_t at, off_t length) {
  return fallocate64(file, mode, at, length);
}
int posix_fallocate64(int file, off_t at, off_t length) {
  int before = errno;
  int code = fallocate64(file, 0, at, length) == 0 ? 0 : errno;
  errno = before;
  return code;
}
int posix_fallocate(int file, off_t at, off_t length) {
  return posix_fallocate64(file, at, length);
}

// Stable storage

static int failed(int descriptor) {
  int isKnown = descriptor >= 0 && descriptor < DESCRIPTORS;
  if (control && isKnown && atomic_load(&failed_sync[descriptor]))
    __atomic_fetch_add(&control->retried, 1, __ATOMIC_RELAXED);
  int error = failure(FAILING_SYNC, descriptor);
  if (error != 0 && isKnown) atomic_store(&failed_sync[descriptor], 1);
  return error;
}

#define FAIL_SYNC_OR(descriptor, call)   \
  do {                                   \
    int error = failed(descriptor);      \
    if (error == 0) return (int)(call);  \
    errno = error;                       \
    return -1;                           \
  } while (0)

int fsync(int file) { FAIL_SYNC_OR(file, syscall(SYS_fsync, file)); }
int fdatasync(int file) { FAIL_SYNC_OR(file, syscall(SYS_fdatasync, file)); }
int syncfs(int file) { FAIL_SYNC_OR(file, syscall(SYS_syncfs, file)); }
int sync_file_range(int file, off_t at, off_t length, unsigned flags) {
  FAIL_SYNC_OR(file, syscall(SYS_sync_file_range, file, at, length, flags));
}

int close(int file) {
  if (file >= 0 && file < DESCRIPTORS) atomic_store(&failed_sync[file], 0);
  return (int)syscall(SYS_close, file);
}
