// A file layer that fails on demand, for tests: loaded with LD_PRELOAD into an unmodified program,
// it answers calls on chosen files with an error, as a broken or full disk would.
//
// What fails is said by the file that FAILING_FILES names, which is mapped into every process and
// may be written at any time. Numbers are the machine's.
#ifndef FAILING_FILES_H
#define FAILING_FILES_H

#include <stdint.h>

enum {
  FAILING_READ = 1,   // read, pread, readv, preadv
  FAILING_WRITE = 2,  // write, pwrite, writev, pwritev, fallocate, ftruncate
  FAILING_SYNC = 4,   // fsync, fdatasync, sync_file_range, syncfs
};

enum { FAILING_CONTROL_BYTES = 4096 };

struct failing_control {
  uint32_t operations;  // the sum of what fails; 0: nothing. Written last.
  uint32_t error;       // the errno that is answered; 0: the calls wait until nothing fails any more
  uint64_t struck;      // calls that were failed, or began to wait, so far
  uint64_t retried;     // syncs of a descriptor of which one had failed before
  char patterns[FAILING_CONTROL_BYTES - 24];  // of paths, as fnmatch(3), one a line; ends with 0
};

#endif
