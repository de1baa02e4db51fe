/// A program of Python that performs the same random calls in two directories and ends at the first
/// that differs: in what it returns, in its error, or in which times it moved.
///
///     differential.py MOUNTED LOCAL SEED CALLS NAMES
///
/// What the local file system cannot do (extended attributes, nameless files) is left out.
enum DifferentialScript {
  static let text = """
    import ctypes, errno, mmap, os, random, stat, sys
    mounted, local, seed, calls, count = sys.argv[1:3] + [int(word) for word in sys.argv[3:]]
    roots = [f"{mounted}/differential-{seed}", f"{local}/differential-{seed}"]
    dice = random.Random(seed)
    libc = ctypes.CDLL(None, use_errno=True)
    names = [f"n{i}" for i in range(count)]
    directories, opened, history = ["."], [], []
    OFFSETS = [0, 1, 100, 4095, 4096, 5000, 131072, 200000]
    COUNTS = [0, 1, 10, 4096, 5000, 70000]

    def checked(result):
        if result < 0: raise OSError(ctypes.get_errno(), "")

    # What the local file system is like.
    for root in roots: os.mkdir(root)
    here = roots[1]
    def can(call):
        try: call()
        except OSError: return False
        return True
    has_attributes = can(lambda: os.setxattr(here, "user.probe", b""))
    if has_attributes: os.removexattr(here, "user.probe")
    has_nameless = can(lambda: os.close(os.open(here, os.O_TMPFILE | os.O_RDWR)))
    counts_directories = os.stat(here).st_nlink == 2
    def moved():
        before = os.stat(here).st_ctime_ns
        os.chmod(here, 0o755)
        return os.stat(here).st_ctime_ns != before
    has_fine_times = all([moved() for _ in range(50)])

    def shown(status):
        is_directory = stat.S_ISDIR(status.st_mode)
        return (oct(status.st_mode), status.st_uid, status.st_gid,
                None if is_directory else status.st_size,
                None if is_directory and not counts_directories else status.st_nlink)

    def times(side, watched):
        result = []
        for what in watched:
            try:
                status = os.fstat(what[side]) if isinstance(what, tuple) \\
                    else os.lstat(f"{roots[side]}/{what}")
                result.append((status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
            except OSError: result.append(None)
        return result

    def both(words, call, watched=()):
        '''Performs call(side, root) on both sides; returns whether it succeeded.'''
        results, changes = [], []
        for side, root in enumerate(roots):
            before = times(side, watched)
            try: results.append(call(side, root))
            except OSError as error: results.append(errno.errorcode[error.errno])
            after = times(side, watched)
            changes.append([(old and new and old[0] == new[0] and (old[1] != new[1], old[2] != new[2]))
                            for old, new in zip(before, after)])
        history.append((words, results[1]))
        if results[0] != results[1] or has_fine_times and changes[0] != changes[1]:
            for line in history[-12:]: print("  ", str(line)[:300])
            sys.exit(f"call {len(history)} of seed {seed} differs: {words}: "
                     f"{str(results[0])[:300]} and moved {changes[0]} on the mount; "
                     f"{str(results[1])[:300]} and moved {changes[1]} locally")
        return not (isinstance(results[1], str) and results[1].startswith("E"))

    def path(): return os.path.normpath(f"{dice.choice(directories)}/{dice.choice(names)}")
    def parent(name): return os.path.dirname(name) or "."

    def remember(words, flags, path_of, watched=()):
        descriptors = [None, None]
        def call(side, root): descriptors[side] = os.open(path_of(root), flags | os.O_NONBLOCK, 0o644)
        if not both(words, call, watched): return None
        opened.append((tuple(descriptors), flags))
        return tuple(descriptors)

    def attribute(do):
        key, value = "user." + dice.choice("abc"), b"v" * dice.choice([0, 1, 200])
        way = dice.randrange(4)
        if way == 0: do("setxattr", lambda what: os.setxattr(what, key, value), key, len(value))
        elif way == 1: do("getxattr", lambda what: os.getxattr(what, key), key)
        elif way == 2: do("listxattr", lambda what: sorted(os.listxattr(what)))
        else: do("removexattr", lambda what: os.removexattr(what, key), key)

    def on_a_name():
        name, other = path(), path()
        way = dice.randrange(19)
        def do(word, call, *more):
            return both((word, name) + more, lambda _, root: call(f"{root}/{name}"),
                        (name, parent(name)))
        def to_other(word, call, *more):
            both((word, name, other) + more, lambda _, root: call(f"{root}/{name}", f"{root}/{other}"),
                 (name, parent(name), other, parent(other)))
        if way < 3: do("unlink", os.unlink)
        elif way < 6: to_other("rename", os.rename)
        elif way == 6:
            flags = dice.choice([1, 2])
            to_other("renameat2", lambda old, new: checked(
                libc.renameat2(-100, old.encode(), -100, new.encode(), flags)), flags)
        elif way == 7: to_other("link", lambda old, new: os.link(old, new, follow_symlinks=False))
        elif way == 8:
            target = dice.choice(names)
            do("symlink", lambda where: os.symlink(target, where), target)
        elif way < 11:
            if do("mkdir", os.mkdir) and len(directories) < 8 and name not in directories:
                directories.append(name)
        elif way == 11: do("rmdir", os.rmdir)
        elif way == 12: do("mkfifo", os.mkfifo)
        elif way == 13:
            mode = dice.randrange(0o1000) | 0o600
            do("chmod", lambda where: os.chmod(where, mode), oct(mode))
        elif way == 14:
            size = dice.choice(OFFSETS)
            do("truncate", lambda where: os.truncate(where, size), size)
        elif way == 15:
            do("utime", lambda where: os.utime(where, ns=(5 * 10**9, 7_123_456_789)))
            do("its times", lambda where: os.stat(where).st_mtime_ns == 7_123_456_789)
        elif way == 16: do("lstat", lambda where: shown(os.lstat(where)))
        elif way == 17 and has_attributes: attribute(do)
        elif way == 18:
            do("readlink", os.readlink)
            def whole(where):
                if not stat.S_ISREG(os.stat(where).st_mode): return None
                with open(where, "rb") as file: return file.read()
            do("read whole", whole)

    def on_a_directory():
        name = dice.choice(directories)
        def entries(_, root):
            with os.scandir(f"{root}/{name}") as found:
                return sorted((each.name,) + shown(each.stat(follow_symlinks=False)) for each in found)
        both(("scandir", name), entries)
        both(("listdir", name), lambda _, root: sorted(os.listdir(f"{root}/{name}")))

    def nameless():
        directory, name = dice.choice(directories), path()
        files = remember(("nameless in", directory), os.O_TMPFILE | os.O_RDWR,
                         lambda root: f"{root}/{directory}", (directory,))
        if files and dice.randrange(2):
            both(("named", name), lambda side, root: checked(libc.linkat(
                -100, f"/proc/self/fd/{files[side]}".encode(), -100, f"{root}/{name}".encode(), 0x400)),
                (name, parent(name)))

    def open_one():
        name = path()
        flags = dice.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
        for more in (os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC, os.O_APPEND):
            if dice.randrange(3) == 0: flags |= more
        if dice.randrange(12) == 0: flags |= dice.choice([os.O_NOFOLLOW, os.O_DIRECTORY])
        remember(("open", name, oct(flags)), flags, lambda root: f"{root}/{name}",
                 (name, parent(name)))

    def on_a_descriptor():
        place = dice.randrange(len(opened))
        files, flags = opened[place]
        offset, size, way = dice.choice(OFFSETS), dice.choice(COUNTS), dice.randrange(17)
        data = bytes([dice.randrange(256)]) * size
        kind = stat.S_IFMT(os.fstat(files[1]).st_mode)
        # The kernel moves the times of a fifo's inode on a disk, and on no mount of FUSE.
        if kind == stat.S_IFIFO: way = 15
        # No attributes are kept of a directory that is removed.
        if kind == stat.S_IFDIR and way == 16: way = 7
        def do(word, call, *more):
            both((word,) + more, lambda side, _: call(files[side]), (files,))
        if way < 2: do("pwrite", lambda file: os.pwrite(file, data, offset), offset, size)
        elif way < 4: do("write", lambda file: os.write(file, data), size)
        elif way == 4: do("pread", lambda file: os.pread(file, size, offset), offset, size)
        elif way == 5: do("read", lambda file: os.read(file, size), size)
        elif way == 6: do("ftruncate", lambda file: os.ftruncate(file, offset), offset)
        elif way == 7: do("fstat", lambda file: shown(os.fstat(file)))
        elif way == 8 and kind == stat.S_IFREG:
            whence = dice.randrange(3)
            do("lseek", lambda file: os.lseek(file, offset, whence), offset, whence)
        elif way == 9: do("fsync", os.fsync)
        elif way == 10: do("fchmod", lambda file: os.fchmod(file, 0o600 | offset & 0o77))
        elif way == 11: do("utime", os.utime)
        elif way == 12:
            mode = dice.choice([0, 1, 3, 16, 17])
            do("fallocate", lambda file: checked(libc.fallocate(
                file, mode, ctypes.c_int64(offset), ctypes.c_int64(size))), mode, offset, size)
        elif way == 13:
            others, start = dice.choice(opened)[0], dice.choice(OFFSETS)
            both(("copy_file_range", offset, start, size), lambda side, _: os.copy_file_range(
                files[side], others[side], size, offset, start))
        elif way == 14 and kind == stat.S_IFREG and flags & os.O_RDWR and not flags & os.O_APPEND:
            def mapped(file):
                length = os.fstat(file).st_size
                if length < 10: return None
                with mmap.mmap(file, length) as pages:
                    pages[5:7] = b"mm"
                    pages.flush()
                    return pages[:]
            both(("mmap",), lambda side, _: mapped(files[side]))
        elif way == 16 and has_attributes: attribute(do)
        elif way == 15:
            del opened[place]
            both(("close",), lambda side, _: os.close(files[side]))

    def tree(_, root):
        found = []
        for top, folders, files in os.walk(root):
            for name in folders + files:
                each = f"{top}/{name}"
                status = os.lstat(each)
                content = None
                if stat.S_ISREG(status.st_mode):
                    with open(each, "rb") as file: content = file.read()
                found.append((os.path.relpath(each, root), shown(status), content))
        return sorted(found, key=lambda each: each[0])

    for number in range(calls):
        way = dice.randrange(100)
        if way < 15: open_one()
        elif way < 50 and opened: on_a_descriptor()
        elif way < 92: on_a_name()
        elif way < 98: on_a_directory()
        elif has_nameless: nameless()
        while len(opened) > 40:
            for file in opened.pop(dice.randrange(len(opened)))[0]: os.close(file)
        if number % 1000 == 999: both(("everything",), tree)
    print(f"seed {seed}: {len(history)} calls, "
          f"{sum(not str(result).startswith('E') for _, result in history)} succeeded, "
          f"times {'compared' if has_fine_times else 'too coarse here to be compared'}")
    """
}
