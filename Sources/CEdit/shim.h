// libedit, the line editor of the dfc prompt, and the few of its variables that Swift cannot use as
// they are (they are global and may change).
#pragma once
#include <stdio.h>
#include <editline/readline.h>

// Ends the line that is being edited: readline() returns NULL.
static inline void dfs_edit_finish(void) { rl_done = 1; }

// Where the editor gets its characters from, from dfs_edit_begin() on: code points, -1 at the end.
static inline void dfs_edit_read_with(int (*read)(FILE *)) { rl_getc_function = read; }

// The line that is being edited, its bytes before the cursor, and more of them for there.
static inline const char *dfs_edit_line(void) { return rl_line_buffer; }
static inline int dfs_edit_cursor(void) { return rl_point; }
static inline void dfs_edit_insert(const char *text) { rl_insert_text(text); }

// Shows the prompt and the line again, where the terminal's cursor is.
static inline void dfs_edit_show(void) { rl_forced_update_display(); }

// Edits on these streams, under this name in ~/.editrc.
static inline void dfs_edit_begin(const char *name) {
  rl_readline_name = name;
  rl_initialize();
  using_history();
}
