/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_ask.h - what verbs ask of a VM that runs: by its control socket, and of its process.
 */
#ifndef _HYVE_VM_ASK_H_
#define	_HYVE_VM_ASK_H_

#include "vmdir.h"

struct qmp_client;

/* "running", "paused" and so on; "unknown" where no answer comes at once. */
const char *vm_ask_status(const struct vmdir *dir);
/* Its control socket, for longer talks.  NULL with a sentence, ESRCH if it does not run. */
struct qmp_client *vm_ask_open(const struct vmdir *dir);
/*
 * The control socket of the VM of that name, whether it has a directory or bhyve(8) runs it, or what is at that path, which is one if it has a
 * slash or there is no such VM.  NULL with a sentence.
 */
struct qmp_client *vm_ask_find(const char *where);

/*
 * The process that has the lock, as a descriptor that stays it whatever happens to the number; the caller's to close.  -1 with a sentence:
 * ESRCH (it does not run), EAGAIN (it is just being started).
 */
int	vm_process(const struct vmdir *dir);

#endif /* _HYVE_VM_ASK_H_ */
