#include "CTaskHook.h"

#include <stddef.h>

#define SWIFT_CC __attribute__((swiftcall))

typedef SWIFT_CC void (*enqueue_function)(void *job);

extern SWIFT_CC void (*swift_task_enqueueGlobal_hook)(void *job, enqueue_function original);
extern SWIFT_CC void swift_job_run(void *job, void *executor_identity, void *executor_witness);

static _Thread_local task_hook_taker thread_taker;
static _Thread_local void *thread_context;

static SWIFT_CC void enqueue(void *job, enqueue_function original) {
  if (thread_taker != NULL) {
    thread_taker(thread_context, job);
  } else {
    original(job);
  }
}

void task_hook_set(task_hook_taker taker, void *context) {
  thread_taker = taker;
  thread_context = context;
  // Never taken away again: without a taker it does what the runtime would have done.
  __atomic_store_n(&swift_task_enqueueGlobal_hook, enqueue, __ATOMIC_SEQ_CST);
}

// The generic executor is one without identity and witness.
void task_hook_run(void *job) { swift_job_run(job, NULL, NULL); }
