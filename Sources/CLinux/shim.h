// What Swift's Glibc module leaves out: extended attributes, and syncing one file system.
#pragma once
#include <sys/xattr.h>

// <unistd.h> declares it for _GNU_SOURCE only, which Swift does not set.
int syncfs(int descriptor);
