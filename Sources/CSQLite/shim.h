// A call of SQLite's with a variable number of arguments, which Swift cannot make.
#pragma once
#include <sqlite3.h>

// Whether the end of the last connection moves the write-ahead log into the database and removes it.
// (https://www.sqlite.org/c3ref/c_dbconfig_defensive.html)
static inline int dfs_checkpoint_on_close(sqlite3 *database, int on) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !on, (int *)0);
}

// "SQLite makes its own copy of the bytes", a constant that is a cast, which Swift does not see.
// (https://www.sqlite.org/c3ref/c_static.html)
static const sqlite3_destructor_type dfs_copied_by_sqlite = SQLITE_TRANSIENT;
