/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runner.h - runs the vCPUs of a VM to its end: a thread for each, the event loop on this one, signals.
 */
#ifndef _HYVE_RUNNER_H_
#define	_HYVE_RUNNER_H_

#include <pthread.h>
#include <stdatomic.h>

#include <vmmapi.h>

#include "device.h"

struct runner;

struct runner_cpu {
	struct runner	*run;
	struct vcpu	*vcpu;
	pthread_t	 thread;
	bool		 started;
};

/* Accesses to a system register that there is not. */
struct runner_sysreg {
	uint64_t	 reg, reads, writes;
};
#define	RUNNER_NSYSREGS	64U		/* those beyond are not told */

struct runner {
	struct vmm	 vmm;
	struct runner_cpu cpus[VM_MAXCPU];
	struct vcpu	*vcpus[VM_MAXCPU];
	_Atomic int	 tids[VM_MAXCPU];	/* threads of vCPUs, as the host numbers them; 0: it does not run */
	unsigned	 ncpus;
	_Atomic unsigned left;		/* vCPU threads that run */
	_Atomic int	 code;		/* exit code, -1 before it is known */
	_Atomic int	 how;		/* enum vm_suspend_how: why it ended */
	struct log_rate	 rate;
	pthread_mutex_t	 sysreg_lock;
	struct runner_sysreg sysregs[RUNNER_NSYSREGS];
	unsigned	 nsysregs;
	int		 sigfd;
	struct event	*sigev;
	unsigned	 nsignals;
	/*
	 * A signal that would end the process; count: how many came so far.  NULL: power off.  Control thread.
	 */
	void		(*on_signal)(struct runner *run, int signo, unsigned count);
	/* An access to a system register that nobody knows.  NULL: it reads as all ones.  vCPU's thread. */
	void		(*on_sysreg)(struct runner *run, struct vcpu *vcpu, const struct vm_exit *exit);
	/* vm_run() returned VM_EXIT_DEBUG.  NULL: nobody asked for it.  vCPU's thread. */
	void		(*on_debug)(struct runner *run, struct vcpu *vcpu, const struct vm_exit *exit);
	void		*arg;
};

/* Log, event loop, signals: before any thread is made.  -1 with a sentence. */
int	runner_init(struct runner *run);
/* Open the vCPUs of run->vmm.vm, which has been made.  -1 with a sentence. */
int	runner_open_cpus(struct runner *run, unsigned ncpus);
/*
 * Resume the devices and run to the end; *how (may be NULL) is why it ended.  -1 with a sentence if that did not
 * begin; else run->code is the exit code, as bhyve(8) has them.
 */
int	runner_run(struct runner *run);
/* Close the vCPUs and the VM, whose devices and machine are gone. */
void	runner_close_vm(struct runner *run);
/* The same, and a VM with a name that would stay is gone. */
void	runner_destroy_vm(struct runner *run);
void	runner_fini(struct runner *run);

#endif /* _HYVE_RUNNER_H_ */
