/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * internal.h - the objects behind libvmmapi's handles, and what its files ask of each other.
 *
 * Lock order: vm->lock, map_lock, range_lock, line lock, controller's locks, vcpu->lock, clock lock.  No lock is
 * held while a range handler, doorbell, timer or end-of-interrupt callback runs.
 */
#ifndef _VMMAPI_INTERNAL_H_
#define	_VMMAPI_INTERNAL_H_

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <vmmapi.h>
#include <vmmapi/state.h>

#include "accel.h"
#include "error.h"
#include "intc.h"
#include "md.h"

#define	VCPU_SLOT	16384		/* bytes of a vCPU's state page(s) */

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/* vcpu->request */
#define	REQ_KICK	0x01U		/* vm_vcpu_kick() */
#define	REQ_SUSPEND	0x02U		/* vm->suspended was set */
#define	REQ_STOP	0x04U		/* vm_pause(), or a memory map change: do not be in the guest */
#define	REQ_GRACE	0x08U		/* someone waits for an event check */
#define	REQ_INTR	0x10U		/* the controller's output may have changed (soft) */
#define	REQ_MD		0x20U		/* md->vcpu_event() */
#define	REQ_TURN	0x40U		/* icount: the schedule changed */
#define	REQ_CODE	0x80U		/* soft: code was written to */

/* Memory segment. */
struct memseg {
	char		 name[VM_MAX_SEGNAME + 1];
	size_t		 len;		/* 0: not there */
	off_t		 offset;	/* in vm->memfd */
	uint8_t		*host;		/* read-write mapping of all of it */
	uint8_t		*view;		/* check-writes mode: read-only mapping, else == host */
	_Atomic uint64_t *dirty;	/* a bit per page while vm->dirty_users */
};

/* A part of a segment at a guest-physical address. */
struct vm_mapping {
	vm_paddr_t	 gpa;
	size_t		 len;
	size_t		 segoff;
	int		 segid;
	int		 prot;
	uint8_t		*host;		/* of gpa */
	int		 slot;		/* back end's, -1 */
};

/* RAM as vm_setup_memory() laid it out: fixed while the VM runs, so read without a lock. */
struct ram_range {
	vm_paddr_t	 gpa;
	size_t		 len;
	size_t		 segoff;
	struct memseg	*seg;
};

#define	VM_MAPPING_DEVICE	(-1)	/* segid: memory of a host device (ppt.c), which is in no segment and no map */

struct irq_line;
struct ppt;
struct rundir;
struct clock;

/*
 * What vm_debug_set() set; changed while every vCPU is parked.  offsets has a bit for each offset in a page that an instruction to stop at has: a
 * decoder that finds blocks by physical address knows by it which instructions to look at again.  It may have more than the points have, as
 * what is taken away often comes back soon.
 */
struct vm_debug {
	struct vm_debug_point p[VM_DEBUG_MAX];
	unsigned	 n;
	unsigned	 ndata;			/* of them, those that are not VM_DEBUG_EXEC */
	bool		 any;			/* a bit of offsets is set */
	uint64_t	 offsets[VM_PAGE_SIZE / 64];
	uint64_t	 gen;			/* bumped by every change, */
	uint64_t	 code_gen;		/* and by those of offsets */
};

struct vmctx {
	char		 name[VM_MAX_NAMELEN + 1];
	const struct md_ops *md;
	struct rundir	*rd;			/* files; memory of anonymous VMs too */
	uint32_t	 flags;			/* VM_SPEC_* */
	unsigned	 nparts;		/* parts whose init succeeded: vm.c */
	pthread_mutex_t	 lock;			/* recursive: life, vCPU table, handles */

	/* back end */
	enum vm_accel	 want;
	const struct accel_ops *_Atomic accel;	/* NULL before vm_start() */
	_Atomic bool	 started;		/* the back end has the whole record: vCPUs may run */
	void		*accel_vm;		/* its own */
	char		 reason[256];
	const struct intc_ops *intc_ops;
	struct vm_jit	 jit;			/* soft */
	void		*intc;			/* controller's own */

	/* memory */
	struct vm_layout layout;
	int		 memfd;
	int		 hugefd;		/* of RAM, where it is in pages of hugetlb; -1: RAM is in memfd */
	off_t		 memend;		/* used bytes of memfd */
	int		 memflags;
	struct memseg	 segs[VM_MAX_MEMSEGS];
	uint8_t		*base;			/* reserved host range: host = base + gpa for RAM */
	uint8_t		*rbase;			/* the same for reading; == base unless checking writes */
	size_t		 span;
	struct ram_range ram[VM_LAYOUT_MAX];
	unsigned	 nram;
	pthread_rwlock_t map_lock;		/* maps, for threads that are not in guest code */
	struct vm_mapping *maps;		/* sorted by gpa; changed only with every vCPU out of the guest */
	unsigned	 nmaps;
	/* With vm_jit.check: write sections that are open, which steps wait for, and whether there is a step, which they wait for. */
	pthread_mutex_t	 write_lock;
	pthread_cond_t	 write_cond;
	unsigned	 writes;
	bool		 write_step;
	_Atomic uint64_t map_gen;		/* bumped by every change: translations made before are void */

	/* dirty pages */
	pthread_mutex_t	 dirty_lock;
	struct vm_dirty	*consumers;
	_Atomic uint32_t dirty_users;		/* != 0: writers mark */
	_Atomic uint64_t dirty_gen;		/* bumped by every fetch: "already marked" marks are void */

	/* ranges and doorbells */
	pthread_rwlock_t range_lock;
	struct vm_range	**ranges[2];		/* by enum vm_space; sorted by base */
	unsigned	 nranges[2];
	struct vm_doorbell *doorbells;
	void		(*watch)(void *arg, const struct vm_range_access *access);	/* vm_range_watch(): fixed when vCPUs run */
	const uint64_t	*watch_when;	/* with watch: what has one of watch_bits while it is to be called */
	uint64_t	 watch_bits;
	void		*watch_arg;
	pthread_mutex_t	 sync_lock;
	pthread_cond_t	 sync_cond;
	uint64_t	 sync_epoch;		/* vm_range_sync() */
	unsigned	 inflight[2];

	/* vCPUs */
	struct vcpu	*vcpus[VM_MAXCPU];
	unsigned	 ncpus;
	uint16_t	 sockets, cores, threads;
	_Atomic uint32_t suspended;		/* enum vm_suspend_how */
	_Atomic uint32_t stop;			/* > 0: vCPUs must not enter the guest */
	_Atomic uint32_t paused;		/* vm_pause() nesting */
	_Atomic uint64_t epoch;			/* grace periods */
	pthread_mutex_t	 stop_lock;
	pthread_cond_t	 stop_cond;		/* a vCPU left or passed a check; stop went away */

	/* interrupts */
	struct irq_line	*lines;			/* md->nlines of them */
	pthread_mutex_t	 irq_lock;		/* list of message handles, hold count */
	struct vm_irq	*msis;
	unsigned	 irq_hold;
	bool		 route_dirty;
	unsigned	 nirqs;			/* open handles */
	struct fdwatch	*fdwatch;		/* thread that polls eventfds, NULL until needed */

	struct ppt	*ppt;			/* host devices; NULL: it never had one */

	struct vm_debug	 debug;

	void		*md_vm;			/* the architecture's own, freed by md->vm_fini */
	bool		 halt_poll;		/* kvm: for so long */
	uint32_t	 halt_poll_ns;
	const char	*cpu_model;		/* one of md->cpu_models, NULL: the back end's default */

	struct clock	*clock;
	uint64_t	 counter_hz;
	bool		 counter_set;		/* somebody asked for it: back ends take no other */
};

struct vcpu {
	struct vmctx	*vm;
	int		 id;
	int		 refs;
	void		*state;			/* state page: struct amd64_state or arm64_state */
	void		*accel_cpu;		/* back end's own; set with the lock held, and vm->accel is set before it */
	void		*intc;			/* controller's part: local APIC, redistributor */

	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;			/* request was set, stop went away */
	bool		 claimed;		/* a thread is inside vm_run() */
	bool		 held;			/* vm_vcpu_hold() */
	bool		 running;		/* ... and not parked: the state page is not valid for others */
	pthread_t	 thread;		/* of the claimant */
	bool		 in_accel;		/* the back end has the state; else only the page */
	bool		 page_valid;		/* with in_accel: the page is as new */

	_Atomic uint32_t request;		/* REQ_*; nonzero ends run() at the next event check */
	_Atomic uint32_t waiting;		/* sleeps on cond: requests must wake it */
	_Atomic uint32_t md_events;		/* the architecture's, with REQ_MD */
	_Atomic uint64_t epoch;			/* 0: not in guest code; else vm->epoch at the last check */

	struct vm_exit	 exit;			/* the last one */
	bool		 exit_valid;
	bool		 read_open;		/* its read waits for a value */
	bool		 replied;
	uint64_t	 reply;

	int8_t		 caps[VM_CAP_MAX];	/* values; -1: does not exist */
	_Atomic uint64_t stats[VM_STAT_LAST];
};

static inline bool
page_aligned(uint64_t v)
{
	return ((v & (VM_PAGE_SIZE - 1)) == 0);
}

/* Is an instruction at an offset in a page perhaps one to stop at? */
static inline bool
debug_offset(const struct vmctx *ctx, uint64_t off)
{
	return (ctx->debug.any && (ctx->debug.offsets[(off & (VM_PAGE_SIZE - 1)) / 64] >> off % 64 & 1) != 0);
}

/* debug.c: the point that an access of kind VM_DEBUG_EXEC (size 1), _READ or _WRITE hits, NULL if none does; *at is the first byte that it has of it. */
const struct vm_debug_point *debug_find(const struct vmctx *vm, enum vm_debug_kind kind, uint64_t va, unsigned size, uint64_t *at);
/* Make ex, a VM_EXIT_DEBUG, that of a point. */
void	debug_fill(struct vm_exit *ex, const struct vm_debug_point *p, uint64_t at, uint32_t reason);

static inline void
vcpu_count(struct vcpu *vcpu, enum vm_stat stat)
{
	atomic_fetch_add_explicit(&vcpu->stats[stat], 1, memory_order_relaxed);
}

/* run.c */

/* Ask the vCPU to look at bits soon.  Any thread, any lock of the order above it. */
void	vcpu_request(struct vcpu *vcpu, uint32_t bits);
/* Controller: the interrupt output to this vCPU may have changed. */
void	vcpu_notify(struct vcpu *vcpu);
/* Wake for an architecture event (INIT, SIPI, CPU_ON): ORs into md_events. */
void	vcpu_post(struct vcpu *vcpu, uint32_t events);
/*
 * Back end: enter guest code; false if KICK, SUSPEND or STOP wants attention first: the vCPU is outside then, and run() returns
 * ACCEL_AGAIN.  INTR, MD and TURN are the back end's to take and clear, GRACE is taken by vcpu_checkpoint().  While inside, the
 * memory map does not change.
 */
bool	vcpu_enter(struct vcpu *vcpu);
/* Back end: leave guest code: to return, or around anything that may call a device or block. */
void	vcpu_leave(struct vcpu *vcpu);
/* Back end, inside: an event check was passed; nothing derived before it is used after it. */
void	vcpu_checkpoint(struct vcpu *vcpu);
/* Back end, outside: sleep until a request is set.  ns UINT64_MAX: no limit. */
void	vcpu_wait(struct vcpu *vcpu, uint64_t ns);
/* Is this thread inside vm_run() of a vCPU of vm (a handler)?  Its vCPU, else NULL. */
struct vcpu *vcpu_current(struct vmctx *vm);
/* Back end, outside: enter again to finish an instruction whatever is requested; waits out a stop. */
void	vcpu_reenter(struct vcpu *vcpu);
/* Wait until every vCPU in guest code has passed an event check.  Any thread; handlers count as outside. */
void	vm_grace(struct vmctx *vm);
/* Bring every vCPU out of guest code and keep it out / let it in again.  Nests; handlers count as outside. */
void	vm_stop_vcpus(struct vmctx *vm);
void	vm_go_vcpus(struct vmctx *vm);

/* vm.c: the processor model of that name as the architecture has it, NULL if it has none. */
const char *cpu_model_find(const struct vmctx *vm, const char *name);

/* vcpu.c */
/* Make the state page valid (settle, fetch).  vcpu->lock held, not running. */
int	vcpu_fetch(struct vcpu *vcpu);
/*
 * Take a vCPU that does not run to look at its state page: 0 with vcpu->lock held and the page valid, else -1 with EBUSY.  The
 * release says whether the page was changed.  A handler may not do this to the vCPU whose thread it is on.
 */
int	vcpu_hold(struct vcpu *vcpu);
void	vcpu_release(struct vcpu *vcpu, bool changed);
int	vcpu_create(struct vmctx *vm, int id, struct vcpu **vcpup);
void	vcpu_free(struct vcpu *vcpu);

/* accel.c */
const struct accel_ops *accel_lookup(enum vm_accel id);	/* NULL if there is none of that number, or any will do */
int	vm_attach_accel(struct vmctx *vm);	/* vm_start(), vm->lock held */
void	vm_detach_accel(struct vmctx *vm);

/* layout.c */
int	layout_check(const struct md_ops *md, const struct vm_layout *layout);

/* memory.c */
/* The RAM range that holds all of [gpa, gpa + len), NULL if none does.  Any thread. */
const struct ram_range *ram_find(struct vmctx *vm, vm_paddr_t gpa, size_t len);
int	mem_init(struct vmctx *vm);
void	mem_fini(struct vmctx *vm);		/* unmaps everything; segments of a named VM stay in the file */
int	mem_reinit(struct vmctx *vm);
int	mem_adopt(struct vmctx *vm);		/* named VM: segments and mappings from the header page */
/* hugepages.c */
/* Bytes of the pages that RAM is to have by the VM's flags, 0: any. */
size_t	huge_size(const struct vmctx *vm);
/* Make the file for len bytes of RAM, which ram[] lays out.  The close undoes it. */
int	huge_create(struct vmctx *vm, size_t len);
void	huge_close(struct vmctx *vm);
/* A mapping of it failed with this errno: -1 with a sentence that says what to do. */
int	huge_none(struct vmctx *vm, int error);
/* memmap.c */
uint8_t	*mapping_host(struct vmctx *vm, const struct vm_mapping *m);
/* The mapping that covers gpa, NULL if none.  In guest code, or map_lock held. */
struct vm_mapping *mem_lookup(struct vmctx *vm, vm_paddr_t gpa);

/* dirty.c */
int	dirty_init(struct vmctx *vm);
void	dirty_fini(struct vmctx *vm);
int	dirty_seg_init(struct vmctx *vm, struct memseg *seg);
/* Mark [off, off + len) of a segment; a no-op while nobody tracks.  By a vCPU in guest code, before it stores. */
void	dirty_mark_seg(struct vmctx *vm, struct memseg *seg, size_t off, size_t len);
/* The same by anyone else, after the last store. */
void	dirty_commit_seg(struct vmctx *vm, struct memseg *seg, size_t off, size_t len);
/* Back end: OR a bitmap (bit 0 = page at segoff, npages bits) into a segment's. */
void	vm_dirty_or(struct vmctx *vm, struct memseg *seg, size_t segoff, const uint64_t *bits, size_t npages);

/* range.c: an access of a vCPU that is outside guest code (vcpu_leave()).  Doorbells, then ranges. */
/* true: done; false: nobody's (read: *val is all ones). */
bool	vm_dispatch(struct vmctx *vm, struct vcpu *vcpu, enum vm_space space, uint64_t addr, unsigned size,
	    bool write, uint64_t *val);
int	range_init(struct vmctx *vm);
void	range_detach(struct vmctx *vm);		/* before the back end goes */
void	range_replay(struct vmctx *vm);		/* after vm_start(): doorbells into the back end */
void	range_fini(struct vmctx *vm);

/* irq.c */
int	irq_init(struct vmctx *vm);
void	irq_fini(struct vmctx *vm);
/* A message into whatever controller there is: 0, or -1 (EINVAL: nobody's address; ENODEV: before vm_start()). */
int	irq_send_msi(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data);
void	irq_detach(struct vmctx *vm);		/* before the back end goes */
void	irq_replay(struct vmctx *vm);		/* after vm_start(): levels and bindings into the controller */
bool	irq_started(struct vmctx *vm);		/* irq_replay() was called: vm->accel is there to be used */

struct vm_irq {
	struct vmctx	*vm;
	struct vm_irq	*next;			/* on its line, or vm->msis */
	bool		 is_msi;
	bool		 masked, level, pending;
	bool		 polled;		/* trigger is polled by the library */
	unsigned	 line;
	uint32_t	 requester, data;
	uint64_t	 addr;
	int		 trigger, resample;
	int		 gsi;			/* back end's for a bound message, -1 */
	void		(*eoi)(void *arg);
	void		*eoi_arg;
	unsigned	 calls;			/* eoi calls under way */
	pthread_t	 caller;
	pthread_mutex_t	 lock;			/* of a message handle; lines have theirs */
};

struct vm_doorbell {
	struct vmctx	*vm;
	struct vm_doorbell *next;
	struct vm_doorbell_spec spec;
	bool		 in_accel;
	_Atomic unsigned refs;
};

/* thread.c: a thread with no signals, as pthread_create(): 0 or an errno. */
int	vm_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg);

/* fdwatch.c: a thread per VM that polls eventfds. */
typedef void fdwatch_fn(void *arg, uint64_t count);	/* of writes since the last call */
int	fdwatch_add(struct vmctx *vm, int fd, fdwatch_fn *fn, void *arg);	/* fd was read before fn */
void	fdwatch_del(struct vmctx *vm, int fd);		/* waits for a call under way, unless called by it */
void	fdwatch_fini(struct vmctx *vm);

/* ppt.c: host devices.  vm->lock held but in the last. */
bool	ppt_any(struct vmctx *vm);			/* whether there are any */
int	ppt_attach(struct vmctx *vm);			/* the back end was made, with the VM's memory */
void	ppt_detach(struct vmctx *vm);			/* before it goes */
void	ppt_fini(struct vmctx *vm);			/* give them all back; while there may be a back end */
int	ppt_map_check(struct vmctx *vm, vm_paddr_t gpa, size_t len);	/* -1 with a sentence: memory of a device is mapped there */
void	ppt_dirty(struct vmctx *vm);			/* before dirty pages are fetched: marks what devices may have written */

/* clock.c */
int	clock_init(struct vmctx *vm);
void	clock_configure(struct vmctx *vm, const struct vm_spec *spec);	/* before anything uses it */
void	clock_fini(struct vmctx *vm);
void	clock_run(struct vmctx *vm, bool run);		/* vm_pause(), vm_resume(), vm_start() */
bool	clock_in_callback(struct vmctx *vm);		/* is this thread inside a timer's fire()? */
unsigned clock_timers(struct vmctx *vm);		/* open ones */
bool	clock_is_icount(struct vmctx *vm);
uint64_t clock_seed(struct vmctx *vm);
/* Random numbers that are the same in every run: any state will do to start from, also 0. */
static inline uint64_t
splitmix64(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31));
}
/* icount, by soft on the thread of the vCPU whose turn it is, outside guest code: */
uint64_t clock_icount_budget(struct vmctx *vm);		/* instructions until a timer is due, at least 1 */
void	clock_icount_advance(struct vmctx *vm, uint64_t insns);	/* count them and fire what is due */
bool	clock_icount_warp(struct vmctx *vm);		/* all idle: jump to the next deadline; false: none */
uint64_t clock_icount(struct vmctx *vm);		/* instructions since the start */
/* a * b / c in 128 bits, rounded down. */
uint64_t muldiv64(uint64_t a, uint64_t b, uint64_t c);

/* rundir.c */
struct rd_header;
int	rundir_anon(struct vmctx *vm);
int	rundir_create(const char *name, enum vm_arch arch, uint32_t flags);
int	rundir_open(struct vmctx *vm, const char *name);
void	rundir_close(struct vmctx *vm);
int	rundir_destroy(struct vmctx *vm);
void	*rundir_vcpu_page(struct vmctx *vm, int id);
/* Write the memory record (layout, segments, mappings, flags) through to the header page. */
void	rundir_put_memory(struct vmctx *vm);
int	rundir_get_memory(struct vmctx *vm);
void	rundir_put_caps(struct vcpu *vcpu);
void	rundir_get_caps(struct vcpu *vcpu);
bool	rundir_vcpu_used(struct vmctx *vm, int id);	/* was its page filled before? */
void	rundir_vcpu_set_used(struct vmctx *vm, int id, bool used);

#endif /* _VMMAPI_INTERNAL_H_ */
