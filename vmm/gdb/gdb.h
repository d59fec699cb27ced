/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb.h - a server of gdb's remote serial protocol: a debugger's way to a VM's processors and memory.
 *
 * A vCPU is a thread of the debugger's, number 1 being vCPU 0.  All of them stop together, and so does the machine: its owner has one way to stop
 * it for whoever wants it to stand still.  Breakpoints and watchpoints are those of vm_debug_set(), of any kind: the guest's memory stays as it
 * is.  The machine stops when a client says its first word, and goes on when it detaches or goes away.
 *
 * The server outlives the VM: a guest that resets is another VM with the same points.
 */
#ifndef _HYVE_GDB_H_
#define	_HYVE_GDB_H_

#include <vmmapi.h>

#include "../config/config.h"
#include "../event/event.h"
#include "../log.h"

struct gdb;

/* What a debugger wants of the machine.  All are called on the control thread. */
struct gdb_owner {
	/* Let the machine stand still, also before there is one; undone once by go. */
	void		(*stop)(void *arg);
	void		(*go)(void *arg);
	void		(*reset)(void *arg);
	void		(*power_off)(void *arg);
	void		*arg;
};

/* Do the keys ask for a server? */
bool	gdb_wanted(struct config *cfg);

/*
 * Listen where the keys say; with gdb.wait the machine is stopped at once.  loop, log and what the owner points to outlive the server.  NULL
 * with a sentence.  Control thread.
 */
struct gdb *gdb_open(struct event_loop *loop, struct log *log, struct config *cfg, const struct gdb_owner *owner);
/* Hang up.  NULL is ignored.  Control thread. */
void	gdb_close(struct gdb *g);

/* There is a VM, which has started, and no vCPU of it runs yet.  -1 with a sentence: it cannot have the points.  Control thread. */
int	gdb_vm_on(struct gdb *g, struct vmctx *vm, struct vcpu *const *vcpus, unsigned n);
/* It is going to be closed; no thread is in a vCPU of it.  reset: another one follows; else code is what the guest ended with.  Control thread. */
void	gdb_vm_off(struct gdb *g, bool reset, int code);

/*
 * vm_run() returned VM_EXIT_DEBUG.  When this returns the VM is paused if the debugger is to look at it: the thread simply runs the vCPU
 * again.  The vCPU's thread.
 */
void	gdb_debug_exit(struct gdb *g, struct vcpu *vcpu, const struct vm_exit *exit);

/* Take a connected stream socket as the client; the server closes it.  -1: there is a client already.  Control thread. */
int	gdb_serve(struct gdb *g, int fd);

#endif /* _HYVE_GDB_H_ */
