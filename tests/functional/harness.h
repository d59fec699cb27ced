/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - runs the payloads of tests/payload on every architecture and back end through the public interface.
 *
 * A target is an architecture on a back end.  A test opens a payload on it, which makes a VM with 16 MiB of RAM, sets the entry
 * state, claims the control block (see payload.h) and, on arm64, places the interrupt controller; it then runs the vCPUs on
 * threads of their own, or one on its own thread, until the payload writes the exit byte.
 */
#ifndef _HARNESS_H_
#define	_HARNESS_H_

#include <sys/mman.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <vmmapi/state.h>

#include "payloads.h"
#include "test.h"

/* A library call that returns 0, or -1 with a sentence. */
#define	OK(call)								\
	CHECKF((call) == 0, "%s: %s (errno %d)", #call, vm_errmsg(), errno)
/* A library call that returns a pointer. */
#define	PTR(call)								\
	CHECKF((call) != NULL, "%s: %s (errno %d)", #call, vm_errmsg(), errno)

struct h_target {
	const char	*name;		/* "soft-amd64" */
	enum vm_arch	 arch;
	enum vm_accel	 accel;
};

#define	H_NTARGETS	4
extern const struct h_target h_targets[H_NTARGETS];

struct h_place {
	enum vm_space	space;
	uint64_t	addr;
};

/* What the payloads of an architecture agreed on with the harness; as in their payload.h. */
struct h_arch {
	enum vm_arch	 arch;
	const char	*name;
	vm_paddr_t	 ram, load, params, results, arena;
	struct h_place	 exit, ctl;
	struct h_place	 probe[2], bell[2];	/* nprobe of each in use */
	unsigned	 nprobe;
	int		 pc, counter;		/* registers: program counter; what spin.S counts in */
	int		 stack;
	const int	*gpr;			/* -1 ends */
};

#define	H_MAXCPU	32
#define	H_RAM		(16UL << 20)

struct h_vm;

struct h_cpu {
	struct h_vm	*h;
	int		 id;
	struct vcpu	*vcpu;
	pthread_t	 thread;
	bool		 started;
	_Atomic bool	 finished;		/* wrote the exit byte */
	struct vm_exit	 exit;			/* the last one */
	unsigned	 nexits;		/* without the exit byte's */
};

/* Options of h_open(); all zero is fine. */
struct h_opts {
	int		 ncpu;			/* default 1 */
	enum vm_clock_source clock;
	uint64_t	 seed;
	uint32_t	 flags;			/* VM_SPEC_* */
	struct vm_jit	 jit;
	bool		 others_off;		/* leave vCPUs but 0 as they were created */
	bool		 moves;			/* to other back ends: see to it that its processor can */
	const char	*model;			/* vm_set_cpu_model() */
	uint64_t	 hz;			/* vm_set_counter_freq() */
	bool		 no_control;		/* do not claim the control block: its accesses are exits */
};

struct h_vm {
	const struct h_target *t;
	const struct h_arch *a;
	struct vmctx	*ctx;
	int		 ncpu;
	struct h_cpu	 cpu[H_MAXCPU];
	bool		 linger;		/* icount: a vCPU that has finished halts inside vm_run() */
	_Atomic int	 nfinished;
	void		*arg;			/* the test's */
	/* An exit that is not the exit byte; true: go on.  NULL: such an exit is a failure. */
	bool		(*on_exit)(struct h_cpu *cpu, struct vm_exit *exit);

	/* control block */
	struct vm_range	*ctl;
	_Atomic bool	 stop;			/* what the stop register reads */
	_Atomic unsigned asked[H_MAXCPU];	/* how often each vCPU read it */
	sem_t		 reported, acked;	/* posted by each write of the register */
	_Atomic uint32_t report;
	_Atomic unsigned nacks;
	void		(*on_ack)(struct h_vm *h, uint32_t val);	/* on the vCPU's thread */
};

/* End the case as skipped, with the sentence, unless the target can run here. */
void	h_need(const struct h_target *t);
/* Is this target usable?  *why is the sentence. */
bool	h_usable(const struct h_target *t, const char **why);
const struct h_arch *h_arch(enum vm_arch arch);

struct h_vm *h_open(const struct h_target *t, const char *payload, const struct h_opts *opts);
void	h_close(struct h_vm *h);
/* Put a vCPU into the payload's entry state. */
void	h_entry(struct h_cpu *cpu);
/* Parameters, and results (the VM runs no more, or is paused). */
void	h_param(struct h_vm *h, unsigned n, uint64_t val);
uint64_t h_result(struct h_vm *h, unsigned n);
uint64_t h_read(struct h_vm *h, vm_paddr_t gpa, unsigned size);
void	h_write(struct h_vm *h, vm_paddr_t gpa, uint64_t val, unsigned size);

/* Run a vCPU on this thread until the exit byte (true) or until on_exit says stop (false). */
bool	h_run(struct h_cpu *cpu);
/* The same for all vCPUs, each on a thread of its own. */
void	h_start(struct h_vm *h);
void	h_join(struct h_vm *h);
/* Wait for one post, at most a minute. */
void	h_wait(sem_t *sem, const char *what);
/* Sleep a little, for loops that wait for something on other threads. */
void	h_nap(void);
/* What the rounds of payload.h's MIX come to (selfstate.S, moves.S). */
uint32_t h_work_hash(uint32_t rounds);

/*
 * The processor model and the counter's frequency (o->model, o->hz) with which a VM can be on any of these targets: some back ends have but one frequency,
 * and some hosts lack what the baseline has.  Ends the case as skipped if there are none.
 */
void	h_common(const struct h_target *const *t, unsigned n, struct h_opts *o);

/*
 * NULL if an interrupt that the processor took is in service until its end, as it has to be.  There is a /dev/kvm (one that
 * emulates privileged guest code) whose local APIC ends interrupts as it delivers them: the sentence says so.  What level-triggered
 * interrupts promise cannot be seen there.
 */
const char *h_no_in_service(const struct h_target *t);

bool	h_is_exit_byte(const struct h_arch *a, const struct vm_exit *exit);
const char *h_exit_str(const struct vm_exit *exit, char *buf, size_t len);
/* The register that an instruction of the test payloads wrote is 32 bits wide on amd64. */
uint64_t h_get(struct h_cpu *cpu, int reg);
void	h_set(struct h_cpu *cpu, int reg, uint64_t val);

/* arm64: the stores that configure an SPI (line counts from 0) or PPI, and adding them to what GIC_ON of the payloads does. */
struct h_store {
	uint64_t	addr, val;
};
#define	H_GICD		0x08000000UL
#define	H_GICR		0x080a0000UL
#define	H_GICR_STRIDE	0x20000UL
#define	H_SPI(line)	(32U + (line))
/* Fill at most 16 stores, return how many. */
unsigned h_gic_stores(unsigned intid, bool level, bool enabled, struct h_store *stores);
void	h_gic_setup(struct h_vm *h, unsigned intid, bool level);

/* A case of every target: its name is "name/target". */
void	h_cases(const char *name, void (*fn)(const void *target), unsigned targets);
#define	H_SOFT		0x3U		/* bits of targets */
#define	H_KVM		0xcU
#define	H_AMD64		0x5U
#define	H_ARM64		0xaU
#define	H_ALL		0xfU

#define	H_TEST(name, targets)							\
	static void h_fn_##name(const struct h_target *t);			\
	static void								\
	h_case_##name(const void *target)					\
	{									\
		h_fn_##name(target);						\
	}									\
	__attribute__((constructor)) static void				\
	h_reg_##name(void)							\
	{									\
		h_cases(#name, h_case_##name, (targets));			\
	}									\
	static void								\
	h_fn_##name(const struct h_target *t)

#endif /* _HARNESS_H_ */
