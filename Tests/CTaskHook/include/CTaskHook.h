#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/// Takes a job of the Swift runtime, which is to be performed once, with task_hook_run.
typedef void (*task_hook_taker)(void *_Nullable context, void *_Nonnull job);

/// What this thread enqueues from now on for Swift's cooperative pool goes to `taker` instead; NULL ends
/// that. What other threads enqueue is not touched. (The runtime's swift_task_enqueueGlobal_hook, Swift 5.5
/// and later: https://github.com/swiftlang/swift/blob/main/include/swift/Runtime/Concurrency.h)
void task_hook_set(task_hook_taker _Nullable taker, void *_Nullable context);

/// Performs a job on this thread.
void task_hook_run(void *_Nonnull job);

#ifdef __cplusplus
}
#endif
