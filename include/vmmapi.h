/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmmapi.h - the machine-independent interface of libvmmapi.
 *
 * A VM is a struct vmctx, a processor of it a struct vcpu, an interrupt source a struct
 * vm_irq; all are opaque.  The guest's architecture and the back end that runs it are
 * properties of the VM.  What depends on the architecture is in vmmapi/amd64.h and
 * vmmapi/arm64.h, with numbers that never overlap.
 *
 * Conventions.  Functions that return int return 0, or -1 with errno set; functions that
 * open something return NULL with errno set.  After a failure vm_errmsg() has a sentence
 * for the calling thread.  The library never exits, prints, installs a signal handler or
 * keeps process-wide state; any number of VMs live in one process.
 *
 * Addresses and lengths are in bytes, times in nanoseconds unless a name says otherwise.
 * "Threads: any" means callable from every thread at every time, also while vCPUs run;
 * "Threads: set-up" means before the first vm_run() or while the VM is paused or stopped,
 * by one thread at a time.
 *
 * This header is also the source of vmmapi(3): the comment above a prototype is its text.
 */
#ifndef _VMMAPI_H_
#define	_VMMAPI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the bhyve interface that the committed subset matches, written as bhyve does. */
#define	VMMAPI_VERSION	0200

/* A function that loaders may rely on for ever; exported with symbol version VMMAPI_0200. */
#define	VM_COMMITTED	__attribute__((visibility("default")))
/* A public function that may still change; exported with symbol version VMMAPI_HYVE. */
#define	VM_PUBLIC	__attribute__((visibility("default")))

struct vmctx;		/* a VM */
struct vcpu;		/* one of its processors */
struct vm_irq;		/* an interrupt line source or a message source */
struct vm_doorbell;	/* a guest write turned into an event */
struct vm_range;	/* a claimed range of MMIO or ports */
struct vm_timer;	/* a deadline on the VM's clock */
struct vm_dirty;	/* one consumer of the dirty bitmap */

typedef uint64_t vm_paddr_t;	/* guest-physical address */
typedef int64_t vm_ooffset_t;	/* offset inside a memory segment */

/* Guest architectures. */
enum vm_arch {
	VM_ARCH_AMD64 = 1,
	VM_ARCH_ARM64 = 2,
};

/* Back ends. */
enum vm_accel {
	VM_ACCEL_AUTO = 0,	/* kvm at hardware speed if there is one, else soft */
	VM_ACCEL_KVM = 1,
	VM_ACCEL_SOFT = 2,
};

/* What the VM's clock counts. */
enum vm_clock_source {
	VM_CLOCK_HOST = 0,	/* the host's monotonic time, stopped while paused */
	VM_CLOCK_ICOUNT = 1,	/* retired instructions (soft only): the same run every time */
};

#define	VM_MAXCPU		64	/* vCPUs of one VM, at most */
#define	VM_MAX_NAMELEN		229	/* bytes of a VM's name, at most */
#define	VM_PAGE_SIZE		4096	/* unit of mappings and of dirty tracking */

/*
 * SECTION: Errors
 *
 * Every failure leaves errno and a sentence that says what failed, on which object and why.
 */

/*
 * The sentence of the calling thread's last failed call, "" if none failed.  It is valid until
 * this thread's next call into the library.
 *
 * Threads: any.
 */
VM_PUBLIC const char *vm_errmsg(void);

/*
 * SECTION: Life of a VM
 *
 * An anonymous VM belongs to its process and is gone with it.  A named VM lives in its user's
 * run directory (HYVE_RUNDIR, else /run/hyve for root, else $XDG_RUNTIME_DIR/hyve, else
 * /tmp/hyve-UID; mode 0700) and outlives its creator, so that a loader can fill it and exit.
 * The directory of a named VM holds a file with its memory and a file with one header page and
 * one state page per vCPU; both are mapped shared and written through, so that a process that
 * never calls vm_close() loses nothing.  After the open no path is needed: a process may drop its
 * privileges.  An open handle holds an exclusive lock on the VM.
 */

/* A set of address ranges and what they are for; see vm_set_layout(). */
#define	VM_LAYOUT_MAX	8
struct vm_layout {
	char		name[16];		/* for people: "pc", "virt" */
	uint32_t	nram;			/* used entries of ram[] */
	uint32_t	nhole;			/* used entries of hole[] */
	struct {
		vm_paddr_t	base;
		vm_paddr_t	limit;		/* first address behind the range */
	} ram[VM_LAYOUT_MAX],			/* where RAM may be, filled in order */
	  hole[VM_LAYOUT_MAX];			/* windows that devices may claim */
};

/* vm_spec.flags */
#define	VM_SPEC_CHECK_WRITES	0x0001	/* read-only views outside write sections (debugging) */
#define	VM_SPEC_DESTROY		0x0002	/* a named VM is destroyed by vm_close() */

/*
 * Native code of the soft back end: whether its processors translate what they execute often to code of the host.  What a guest sees of it is nothing
 * but speed.  Hosts that are not amd64 have none.
 */
enum vm_jit_how {
	VM_JIT_AUTO,		/* where the host can, unless the environment variable HYVE_JIT says otherwise */
	VM_JIT_OFF,
	VM_JIT_ON,		/* a vCPU that cannot have it does not start */
};

struct vm_jit {
	enum vm_jit_how	 how;
	uint32_t	 hot;		/* entries of a stretch of code before it is translated, to 65535; 1: at once */
	size_t		 size;		/* bytes of native code of a vCPU; when full, all of it goes */
	/*
	 * Check it: every so many instructions, 0 never, are executed both ways, and if registers or memory differ the vCPU exits with VM_EXIT_ERROR
	 * and what differs as vm_errmsg().  One vCPU and virtual time only.
	 */
	uint32_t	 check;
	bool		 map;		/* list translations in /tmp/perf-PID.map, where perf(1) looks: guest_ADDRESS */
};

/* What vm_new() makes.  Zero members mean the default. */
struct vm_spec {
	size_t			 size;		/* sizeof(struct vm_spec) */
	const char		*name;		/* NULL: anonymous */
	enum vm_arch		 arch;		/* default amd64 */
	enum vm_accel		 accel;		/* default auto */
	enum vm_clock_source	 clock;		/* default host */
	uint32_t		 flags;		/* VM_SPEC_* */
	const struct vm_layout	*layout;	/* default: the architecture's; copied */
	uint64_t		 seed;		/* icount: order in which vCPUs take turns */
	uint32_t		 insn_ns;	/* icount: nanoseconds per instruction, default 1 */
	const char		*intc;		/* interrupt controller, default the architecture's */
	struct vm_jit		 jit;
	/* kvm: the kernel looks for work this long, in nanoseconds, before a vCPU that waits sleeps; 0: not at all; halt_poll false: as the host has it. */
	bool			 halt_poll;
	uint32_t		 halt_poll_ns;
};

/*
 * Create a VM as spec says and open it.
 *
 * Errors: EINVAL (a member is out of range), EEXIST (the name is taken), ENAMETOOLONG,
 * ENOMEM, ENOSPC, EACCES.
 * Threads: any.
 */
VM_PUBLIC struct vmctx *vm_new(const struct vm_spec *spec);

/*
 * Create a named amd64 VM whose back end is chosen when a vCPU first runs.  No handle is made:
 * vm_open() gives one.  A leftover whose creator died half-way is replaced.
 *
 * Errors: EEXIST, EINVAL (empty name, a slash, a leading dot), ENAMETOOLONG, ENOSPC, EACCES.
 * Threads: any.
 */
VM_COMMITTED int vm_create(const char *name);

/*
 * Open a named VM and lock it.
 *
 * Errors: ENOENT, EBUSY (another handle, here or in another process, has it), EINVAL (bad name),
 * EILSEQ (its run directory is damaged or of another version; the sentence says what to remove).
 * Threads: any.
 */
VM_COMMITTED struct vmctx *vm_open(const char *name);

#define	VMMAPI_OPEN_CREATE			0x01	/* create it if it is missing */
#define	VMMAPI_OPEN_REINIT			0x02	/* vm_reinit() it if it existed */
#define	VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE	0x04	/* with CREATE: gone at vm_close() */

/*
 * vm_open() with flags (VMMAPI_OPEN_*).
 *
 * Errors: those of vm_create() and vm_open(); EINVAL for unknown flags.
 * Threads: any.
 */
VM_PUBLIC struct vmctx *vm_openf(const char *name, int flags);

/*
 * Drop the handle.  A named VM stays, unless it was made to be destroyed on close; an anonymous one
 * ends.  Every vCPU must have returned from vm_run().  NULL is ignored.
 *
 * Threads: one; no other call on the VM may be under way.
 */
VM_COMMITTED void vm_close(struct vmctx *ctx);

/*
 * Destroy the VM and the handle.  Works after privileges were dropped: what can no longer be removed is
 * marked dead, and vm_create() of the same name replaces it.
 *
 * Threads: one; no other call on the VM may be under way.
 */
VM_COMMITTED void vm_destroy(struct vmctx *ctx);

/*
 * Put the VM back to what it was just after its creation: memory segments and mappings gone, vCPUs in
 * power-on state, nothing suspended.  Open vCPU handles stay valid; interrupt handles, ranges, doorbells
 * and timers must be closed before.
 *
 * Errors: EBUSY (a vCPU runs, or a handle is still open; the sentence says which).
 * Threads: set-up.
 */
VM_COMMITTED int vm_reinit(struct vmctx *ctx);

/* Why a VM stopped. */
enum vm_suspend_how {
	VM_SUSPEND_NONE,
	VM_SUSPEND_RESET,
	VM_SUSPEND_POWEROFF,
	VM_SUSPEND_HALT,
	VM_SUSPEND_TRIPLEFAULT,		/* amd64 */
	VM_SUSPEND_DESTROY,
	VM_SUSPEND_LAST
};

/*
 * Stop the VM: every vm_run(), now and later, returns VM_EXIT_SUSPENDED with this reason.  The first reason
 * wins.
 *
 * Errors: EINVAL (how), EALREADY (suspended before).
 * Threads: any.
 */
VM_PUBLIC int vm_suspend(struct vmctx *ctx, enum vm_suspend_how how);

/*
 * Take back a suspension, for example to reset the machine after VM_SUSPEND_RESET.  Processors are not
 * touched: see vm_vcpu_reset().
 *
 * Threads: set-up.
 */
VM_PUBLIC int vm_unsuspend(struct vmctx *ctx);

/*
 * Put the whole VM into power-on state, as its reset button does: processors, the library's interrupt controllers and what else
 * it models; memory, its map, devices, handles and the clock stay as they are.  A suspension is taken back.  The levels of
 * interrupt lines are their sources' and stay.
 *
 * Errors: ENOTSUP (kvm on arm64), EDEADLK (called from inside a handler).
 * Threads: set-up.
 */
VM_PUBLIC int vm_reset(struct vmctx *ctx);

/*
 * Pause the VM: stop its clock and park every vCPU at an instruction boundary, inside vm_run() if it is
 * there, with its last exit settled.  When this returns, state can be read and written from any thread.
 * Calls nest.  Not to be called by a thread that is inside a range handler or timer callback.
 *
 * Errors: EDEADLK (called from inside a handler).
 * Threads: any.
 */
VM_PUBLIC int vm_pause(struct vmctx *ctx);

/*
 * Undo one vm_pause().
 *
 * Errors: EINVAL (not paused).
 * Threads: any.
 */
VM_PUBLIC int vm_resume(struct vmctx *ctx);

/* The VM's name, "" for an anonymous one.  Valid as long as the handle.  Threads: any. */
VM_PUBLIC const char *vm_get_name(struct vmctx *ctx);

/* The guest's architecture.  Threads: any. */
VM_PUBLIC enum vm_arch vm_get_arch(struct vmctx *ctx);

/* "amd64", "arm64", or NULL for a number that names none.  Threads: any. */
VM_PUBLIC const char *vm_arch_name(enum vm_arch arch);

/*
 * Choose which processor the guest sees, by a name of the architecture's list.  amd64 has "v2", a processor of level x86-64-v2 with
 * conveniences of later ones, "v1" of x86-64-v1, "baseline" and "baseline-v1", which are the same on every back end and host; on kvm
 * only "host", all that the library can carry of the host's, and "v3" and "v4", of x86-64-v3 and v4, where the host has that.  arm64
 * has "v8", "v8.0-base" and "baseline", which has nothing that some host lacks, on soft.
 * NULL: the default again, which is "v2" or "v8" on soft and the host's processor on kvm.  vm_start() refuses a back end that cannot be
 * the model, by what it lacks, and the automatic choice takes the other one.  The first values of vCPUs' registers are those of the model
 * at the time of their vm_vcpu_open().
 *
 * Errors: EINVAL (no such name; the sentence has the nearest one), EBUSY (vm_start() was called).
 * Threads: set-up.
 */
VM_PUBLIC int vm_set_cpu_model(struct vmctx *ctx, const char *name);

/* The name of the VM's processor model; "host" on a back end that shows the host's where none was chosen.  Threads: any. */
VM_PUBLIC const char *vm_get_cpu_model(struct vmctx *ctx);

/*
 * Choose and start the back end now instead of at the first vm_run(), which does the same.  After it, RAM cannot
 * be set up any more.
 *
 * Errors: ENOTSUP (the back end asked for cannot run this guest here; the sentence says why), EINVAL, ENOMEM.
 * Threads: set-up.
 */
VM_PUBLIC int vm_start(struct vmctx *ctx);

/* The back end in use ("kvm", "soft"), NULL before it was chosen.  Threads: any. */
VM_PUBLIC const char *vm_accel_name(struct vmctx *ctx);

/*
 * One line for a person: which back end was chosen, and why not the other one.  "" before the choice.
 *
 * Threads: any.
 */
VM_PUBLIC const char *vm_accel_reason(struct vmctx *ctx);

/*
 * Ask whether a back end can run guests of an architecture on this host.  Returns 0, or -1 with ENOTSUP, ENOENT or
 * EACCES and the reason as sentence.
 *
 * Threads: any.
 */
VM_PUBLIC int vm_accel_probe(enum vm_accel accel, enum vm_arch arch);

/*
 * SECTION: Memory
 *
 * A VM's memory is made of numbered segments; a mapping puts a part of a segment at a guest-physical address.
 * RAM (segments VM_SYSMEM to VM_SYSMEM + VM_MAXSYSMEM - 1) is made by vm_setup_memory() where the
 * VM's layout says; device memory by vm_create_devmem().  Anything not mapped and not claimed by a range
 * reads as all ones and ignores writes.
 */

#define	VM_SYSMEM	0	/* first segment of RAM */
#define	VM_MAXSYSMEM	8
#define	VM_BOOTROM	8	/* device memory by custom: firmware */
#define	VM_FRAMEBUFFER	9
#define	VM_PCIROM	10
#define	VM_MAX_MEMSEGS	32
#define	VM_MAX_SEGNAME	31	/* bytes of a segment's name, at most */

#define	VM_PROT_READ	0x01
#define	VM_PROT_WRITE	0x02
#define	VM_PROT_EXEC	0x04
#define	VM_PROT_RW	(VM_PROT_READ | VM_PROT_WRITE)
#define	VM_PROT_ALL	(VM_PROT_RW | VM_PROT_EXEC)

#define	VM_MEM_F_INCORE	0x01	/* keep guest memory in core dumps */
#define	VM_MEM_F_WIRED	0x02	/* lock guest memory */
#define	VM_MEM_F_HUGE_2M 0x04	/* RAM in pages of 2 MiB, or 1 GiB, that the host has put aside (hugetlb); not for named VMs */
#define	VM_MEM_F_HUGE_1G 0x08

enum vm_mmap_style {
	VM_MMAP_NONE,
	VM_MMAP_ALL,		/* all of RAM in one reserved host range */
	VM_MMAP_SPARSE,
};

/*
 * Parse a memory size: a number below 1 MiB means MiB; K, M, G, T (or k, m, g, t) multiply by powers
 * of 1024.
 *
 * Errors: EINVAL, ERANGE.
 * Threads: any.
 */
VM_COMMITTED int vm_parse_memsize(const char *arg, size_t *size);

/*
 * Choose where RAM and device windows are.  The machine does this before vm_setup_memory(); without it the
 * architecture's default holds.  The layout is copied and stored in the VM.
 *
 * Errors: EINVAL (ranges empty, unaligned, unsorted or overlapping), EBUSY (RAM exists).
 * Threads: set-up.
 */
VM_PUBLIC int vm_set_layout(struct vmctx *ctx, const struct vm_layout *layout);

/* Copy the VM's layout.  Threads: any. */
VM_PUBLIC int vm_get_layout(struct vmctx *ctx, struct vm_layout *layout);

/*
 * Reserve len bytes of RAM and map them where the layout has RAM, in order.  Only VM_MMAP_ALL is supported.  If a
 * loader made RAM before, that RAM is kept and its length wins.  The memory of a named VM is allocated at
 * once, so that a full file system is an error here; that of an anonymous VM when it is touched.
 *
 * Errors: EINVAL (length zero, unaligned or beyond the layout, or no whole number of the pages of VM_MEM_F_HUGE_*), ENOTSUP (style; such pages
 * for a named VM or where writes are checked), ENOSPC, ENOMEM (also: too few of these pages were put aside), EBUSY (the VM runs).
 * Threads: set-up.
 */
VM_COMMITTED int vm_setup_memory(struct vmctx *ctx, size_t len, enum vm_mmap_style style);

/*
 * Host address of [gpa, gpa + len), NULL with EFAULT unless all of it is RAM.  Writes through it are not
 * tracked as dirty, and a vCPU that has executed code there may go on with what it was: this is for loaders and for
 * reading registers of queues before the VM runs.  Devices use vm_map_read() and vm_write_begin(), debuggers
 * vm_gpa_write().
 *
 * Ownership: the VM's, valid until vm_close() or vm_reinit().
 * Threads: any.
 */
VM_COMMITTED void *vm_map_gpa(struct vmctx *ctx, vm_paddr_t gpa, size_t len);

/*
 * Inverse of vm_map_gpa() and vm_map_read(): (vm_paddr_t)-1 when addr is not in RAM.
 *
 * Threads: any.
 */
VM_PUBLIC vm_paddr_t vm_rev_map_gpa(struct vmctx *ctx, const void *addr);

/*
 * First address above RAM below 4 GiB that vm_setup_memory() may fill, 0 where RAM starts higher.  Threads: any.
 */
VM_COMMITTED uint32_t vm_get_lowmem_limit(struct vmctx *ctx);

/* Bytes of RAM in the first RAM range when it starts below the low limit.  Threads: any. */
VM_COMMITTED size_t vm_get_lowmem_size(struct vmctx *ctx);

/* Start of RAM above the low range.  Threads: any. */
VM_PUBLIC vm_paddr_t vm_get_highmem_base(struct vmctx *ctx);

/* Bytes of RAM at and above vm_get_highmem_base().  Threads: any. */
VM_COMMITTED size_t vm_get_highmem_size(struct vmctx *ctx);

/* Set VM_MEM_F_* before vm_setup_memory().  Unknown bits are ignored.  Threads: set-up. */
VM_COMMITTED void vm_set_memflags(struct vmctx *ctx, int flags);

/* What vm_set_memflags() set.  Threads: any. */
VM_COMMITTED int vm_get_memflags(struct vmctx *ctx);

/*
 * Make a segment of device memory (a ROM, a frame buffer) and return its host address, MAP_FAILED with errno on
 * failure.  It becomes visible to the guest by vm_mmap_memseg().  The caller reports its own writes by
 * vm_dirty_mark() once the segment is mapped.
 *
 * Ownership: the VM's, valid until vm_close() or vm_reinit().
 * Errors: EINVAL (segid is RAM's or out of range, len not a multiple of the page size, name too long),
 * EEXIST (made with another length or name), ENOSPC, ENOMEM.
 * Threads: set-up.
 */
VM_PUBLIC void *vm_create_devmem(struct vmctx *ctx, int segid, const char *name, size_t len);

/*
 * Length and name of a segment; length 0 if it does not exist.  name may be NULL.
 *
 * Errors: EINVAL (segid), ENAMETOOLONG (namesize).
 * Threads: any.
 */
VM_PUBLIC int vm_get_memseg(struct vmctx *ctx, int segid, size_t *len, char *name, size_t namesize);

/*
 * Map len bytes of a segment from segoff at gpa with VM_PROT_*.  Without VM_PROT_WRITE guest writes go to the
 * range claimed there, or nowhere.  The same mapping again is a success.
 *
 * Errors: EINVAL (unaligned, outside of the segment, wraps), EEXIST (something else is mapped there), ENOENT (no such segment),
 * ENOMEM.
 * Threads: any, outside of handlers' locks: waits for every vCPU to pass an event check.
 */
VM_PUBLIC int vm_mmap_memseg(struct vmctx *ctx, vm_paddr_t gpa, int segid, vm_ooffset_t segoff, size_t len,
    int prot);

/*
 * Remove mappings of [gpa, gpa + len).  When it returns, no vCPU uses them any more.
 *
 * Errors: EINVAL, ENOENT (a part is not mapped).
 * Threads: as vm_mmap_memseg().
 */
VM_PUBLIC int vm_munmap_memseg(struct vmctx *ctx, vm_paddr_t gpa, size_t len);

/*
 * Change the protection of mapped memory, splitting mappings where needed.  Dirty pages are kept.
 *
 * Errors: EINVAL, ENOENT (a part is not mapped).
 * Threads: as vm_mmap_memseg().
 */
VM_PUBLIC int vm_mprotect_memseg(struct vmctx *ctx, vm_paddr_t gpa, size_t len, int prot);

/*
 * The first mapping at or above *gpa: its address, segment, offset, length, protection and flags (0).
 *
 * Errors: ENOENT (there is none).
 * Threads: any.
 */
VM_PUBLIC int vm_mmap_getnext(struct vmctx *ctx, vm_paddr_t *gpa, int *segid, vm_ooffset_t *segoff, size_t *len,
    int *prot, int *flags);

/*
 * SECTION: Devices and memory
 *
 * A device reads RAM through vm_map_read() and writes it only inside a write section.  The commit marks the
 * pages dirty, after the last store or completed I/O.
 */

/* A write section; the caller provides the space, the library fills it.  Members are private but for host. */
struct vm_wsec {
	void		*host;		/* where to store */
	struct vmctx	*ctx;
	vm_paddr_t	 gpa;
	size_t		 len;
	void		*view;		/* check-writes mode: the section's own mapping */
	size_t		 viewlen;
};

/*
 * Host address for reading [gpa, gpa + len), NULL with EFAULT unless all of it is RAM.
 *
 * Threads: any.
 */
VM_PUBLIC const void *vm_map_read(struct vmctx *ctx, vm_paddr_t gpa, size_t len);

/*
 * Start writing [gpa, gpa + len) of RAM through ws->host, which is also returned.  Sections may overlap, last as
 * long as an I/O does, and end on another thread.
 *
 * Errors: EFAULT (not all RAM), EINVAL (len 0), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC void *vm_write_begin(struct vmctx *ctx, vm_paddr_t gpa, size_t len, struct vm_wsec *ws);

/* End a write section after its last store and mark its pages dirty.  Threads: any. */
VM_PUBLIC void vm_write_commit(struct vm_wsec *ws);

/* End a write section in which nothing was stored.  Threads: any. */
VM_PUBLIC void vm_write_cancel(struct vm_wsec *ws);

/*
 * Copy len bytes out of RAM.
 *
 * Errors: EFAULT (not all RAM).
 * Threads: any.
 */
VM_PUBLIC int vm_gpa_read(struct vmctx *ctx, vm_paddr_t gpa, void *buf, size_t len);

/*
 * Copy len bytes into RAM and mark them dirty.
 *
 * Errors: EFAULT (not all RAM).
 * Threads: any.
 */
VM_PUBLIC int vm_gpa_write(struct vmctx *ctx, vm_paddr_t gpa, const void *buf, size_t len);

/*
 * Mark mapped memory dirty that was written through vm_create_devmem()'s address, after the last store.
 *
 * Errors: EFAULT (a part is not mapped).
 * Threads: any.
 */
VM_PUBLIC int vm_dirty_mark(struct vmctx *ctx, vm_paddr_t gpa, size_t len);

/*
 * SECTION: Dirty pages
 *
 * One cumulative bitmap per VM collects what the back end and the devices wrote; each consumer (a display, a
 * migration) fetches from it without disturbing the others.
 */

/*
 * Become a consumer.  From now on writes are tracked; nothing is dirty yet.
 *
 * Errors: ENOMEM, ENOTSUP.
 * Threads: any, outside of handlers' locks.
 */
VM_PUBLIC struct vm_dirty *vm_dirty_open(struct vmctx *ctx);

/* Stop being a consumer.  NULL is ignored.  Threads: any, outside of handlers' locks. */
VM_PUBLIC void vm_dirty_close(struct vm_dirty *d);

/*
 * Take the dirty pages of [gpa, gpa + len), a bit per page, least significant first, and clear them for this
 * consumer.  Bits are cleared before every vCPU has passed an event check, and that is waited for: page
 * contents read after the return are at least as new as the bits.  Unmapped pages read as clean.
 *
 * Errors: EINVAL (unaligned or wrapping range, NULL).
 * Threads: any, outside of handlers' locks; calls for one consumer are serialised.
 */
VM_PUBLIC int vm_dirty_fetch(struct vm_dirty *d, vm_paddr_t gpa, size_t len, uint64_t *bits);

/*
 * Give fetched bits back, after whatever they were fetched for failed.
 *
 * Errors: EINVAL.
 * Threads: any.
 */
VM_PUBLIC int vm_dirty_merge(struct vm_dirty *d, vm_paddr_t gpa, size_t len, const uint64_t *bits);

/*
 * SECTION: MMIO and ports
 *
 * A device claims a range and gets the guest's accesses as calls, on the vCPU's thread, with no lock of the
 * library held.  Accesses to what nobody claimed come back from vm_run().
 */

enum vm_space {
	VM_SPACE_MEM,		/* guest-physical addresses */
	VM_SPACE_IO,		/* I/O ports: 0 to 0xffff */
};

/*
 * A range and its handlers.  off is relative to base; size is 1, 2, 4 or 8; values are zero-extended.  vcpu is the
 * processor that made the access, NULL if none did (vm_access()).  A missing read handler reads all
 * ones, a missing write handler ignores writes.
 */
struct vm_range_spec {
	const char	*name;		/* copied */
	enum vm_space	 space;
	uint64_t	 base;
	uint64_t	 len;
	uint64_t	(*read)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size);
	void		(*write)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val);
	void		*arg;
	int		 priority;	/* where ranges overlap the higher one wins */
};

/*
 * Claim a range.  An access belongs to the range that its first byte is in.
 *
 * Errors: EINVAL (NULL, empty, wraps, beyond port 0xffff, no such space for this architecture),
 * EEXIST (overlaps one of the same priority), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC struct vm_range *vm_range_add(struct vmctx *ctx, const struct vm_range_spec *spec);

/*
 * Give a range up.  No call starts after it; one that had started may still be running: vm_range_sync().  NULL is
 * ignored.
 *
 * Threads: any.
 */
VM_PUBLIC void vm_range_remove(struct vm_range *range);

/*
 * Wait until every handler that was running has returned.
 *
 * Errors: EDEADLK (called by a handler).
 * Threads: any, holding no lock that a handler takes.
 */
VM_PUBLIC int vm_range_sync(struct vmctx *ctx);

/* An access that a range's handler has served. */
struct vm_range_access {
	const char	*name;		/* the range's; valid during the call */
	struct vcpu	*vcpu;		/* who made it; NULL: no vCPU did */
	uint64_t	 off;		/* bytes from the range's base */
	unsigned	 size;		/* bytes: 1, 2, 4 or 8 */
	bool		 write;
	uint64_t	 val;		/* what was read or written */
};

/*
 * Have fn called behind the handler of each access to a claimed range, for tracing: on the thread that made the access, with no
 * lock of the library held, several at once.  NULL: nobody is told.  Doorbells are not told of.  With when, fn is called only
 * while *when, which whoever wants may change atomically at any time, has one of bits; it stays until the VM is closed.  NULL: always.
 *
 * Errors: EINVAL (NULL), EBUSY (the VM has started).
 * Threads: the one that sets the VM up, before vm_start().
 */
VM_PUBLIC int vm_range_watch(struct vmctx *ctx, void (*fn)(void *arg, const struct vm_range_access *access), void *arg, const uint64_t *when,
    uint64_t bits);

/*
 * Make an access as a device or a debugger would: to RAM, device memory or a claimed range.  *val is read or
 * written according to write.
 *
 * Errors: EINVAL (size), EFAULT (nothing there; a read gives all ones).
 * Threads: any.
 */
VM_PUBLIC int vm_access(struct vmctx *ctx, enum vm_space space, uint64_t addr, unsigned size, bool write,
    uint64_t *val);

/*
 * SECTION: vCPUs
 *
 * Any thread may run a vCPU, one at a time.  Registers have numbers of the guest's architecture
 * (VM_AMD64_REG_RIP, VM_ARM64_REG_PC).  The state page is the record of a vCPU that is not running; the back
 * end works from it and writes it back.
 */

/*
 * Open vCPU id (0 to VM_MAXCPU - 1), created in power-on state at its first open: id 0 ready to run, others waiting
 * for the guest to start them.  Opening it again gives the same handle.
 *
 * Errors: EINVAL (id), EBUSY (new vCPU after vm_start()), ENOMEM.
 * Threads: set-up.
 */
VM_COMMITTED struct vcpu *vm_vcpu_open(struct vmctx *ctx, int vcpuid);

/* Undo one vm_vcpu_open().  The vCPU itself stays.  NULL is ignored.  Threads: set-up. */
VM_COMMITTED void vm_vcpu_close(struct vcpu *vcpu);

/* The vCPU's number.  Threads: any. */
VM_COMMITTED int vcpu_id(struct vcpu *vcpu);

/* The VM that the vCPU belongs to.  Threads: any. */
VM_PUBLIC struct vmctx *vm_vcpu_ctx(struct vcpu *vcpu);

/* Why vm_run() returned. */
enum vm_exitcode {
	VM_EXIT_NONE,
	VM_EXIT_MMIO,		/* u.mmio: access that nobody claimed */
	VM_EXIT_IO,		/* u.io: port access that nobody claimed */
	VM_EXIT_HALT,		/* halted, and capability halt_exit is set */
	VM_EXIT_PAUSE,		/* spin-wait hint, and capability pause_exit is set */
	VM_EXIT_KICKED,		/* vm_vcpu_kick() */
	VM_EXIT_SUSPENDED,	/* u.suspended: vm_suspend() or a guest's end */
	VM_EXIT_SYSREG,		/* u.sysreg: MSR or system register that nobody models */
	VM_EXIT_HYPERCALL,	/* u.hypercall: VMCALL, HVC, SMC that nobody models */
	VM_EXIT_DEBUG,		/* u.debug: single step, breakpoint, watchpoint */
	VM_EXIT_ERROR,		/* u.error: the back end cannot go on; vm_errmsg() says why */
	VM_EXIT_LAST
};

/* What made a VM_EXIT_DEBUG. */
enum vm_debug_why {
	VM_DEBUG_BY_GUEST,	/* an instruction for debuggers that the guest executes, and capability bpt_exit is set */
	VM_DEBUG_BY_STEP,	/* capability single_step */
	VM_DEBUG_AT_POINT,	/* vm_debug_set() */
};

/* What a point of vm_debug_set() stops at. */
enum vm_debug_kind {
	VM_DEBUG_EXEC,		/* an instruction, before it is executed */
	VM_DEBUG_WRITE,		/* a store */
	VM_DEBUG_READ,		/* a load */
	VM_DEBUG_ACCESS,	/* either */
};

/* What an exit was about.  The tag and these parts are stable; md[] is the architecture's (vmmapi/<arch>.h). */
struct vm_exit {
	enum vm_exitcode code;
	uint32_t	 insn_len;	/* bytes of the instruction, 0 if unknown */
	uint64_t	 pc;		/* its address */
	union {
		struct {
			vm_paddr_t	gpa;
			uint64_t	data;	/* written value */
			uint8_t		size;
			bool		write;
		} mmio;
		struct {
			uint64_t	data;
			uint16_t	port;
			uint8_t		size;
			bool		write;
		} io;
		struct {
			enum vm_suspend_how how;
		} suspended;
		struct {
			uint64_t	reg;	/* the architecture's number */
			uint64_t	data;
			bool		write;
		} sysreg;
		struct {
			uint64_t	func;
			uint64_t	args[7];
		} hypercall;
		struct {
			uint64_t	addr;	/* of the instruction; VM_DEBUG_AT_POINT of data: the first byte accessed that is watched */
			uint32_t	reason;	/* the architecture's */
			uint8_t		why;	/* enum vm_debug_why */
			uint8_t		kind;	/* VM_DEBUG_AT_POINT: enum vm_debug_kind of the point */
		} debug;
		struct {
			int		error;	/* errno */
			uint64_t	detail;	/* back end's number */
		} error;
		uint8_t	space[112];
	} u;
	uint64_t	 md[4];
};

/*
 * Run the vCPU until something needs the caller.  Accesses to claimed ranges, doorbells, interrupts and, unless a
 * capability says otherwise, waiting for an interrupt are dealt with inside.  While the VM is paused it waits
 * inside.
 *
 * A read that nobody claimed is answered by vm_exit_reply() before the next vm_run(); without, it reads all ones.
 *
 * The signal VM_KICK_SIGNAL is blocked in the calling thread from its first vm_run() on and no handler is installed.
 *
 * Errors: EBUSY (another thread runs it), EINVAL, and those of vm_start().
 * Threads: any, one per vCPU at a time.
 */
VM_PUBLIC int vm_run(struct vcpu *vcpu, struct vm_exit *exit);

#define	VM_KICK_SIGNAL	(SIGRTMAX - 1)

/*
 * Value for the read that the last exit (MMIO, IO, SYSREG, HYPERCALL) asked for.
 *
 * Errors: EINVAL (no read is open).
 * Threads: the one that runs the vCPU.
 */
VM_PUBLIC int vm_exit_reply(struct vcpu *vcpu, uint64_t value);

/*
 * Make vm_run() return VM_EXIT_KICKED soon; if the vCPU is not running, its next vm_run() returns at once.  Kicks
 * do not add up.
 *
 * Threads: any; takes no lock that a handler could hold.
 */
VM_PUBLIC int vm_vcpu_kick(struct vcpu *vcpu);

/*
 * Power-on state, as the architecture defines it: the state page is filled afresh, pending events are dropped.
 *
 * Errors: EBUSY (it runs).
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_vcpu_reset(struct vcpu *vcpu);

/* Old name of vm_vcpu_reset().  Threads: any, while the vCPU does not run. */
VM_PUBLIC int vcpu_reset(struct vcpu *vcpu);

/*
 * Execute the instruction of the last exit again at the next vm_run().  On soft for every exit; on kvm only for
 * exits whose instruction has not retired.
 *
 * Errors: EINVAL (no exit), ENOTSUP (kvm: the instruction has retired in part), EBUSY.
 * Threads: the one that runs the vCPU.
 */
VM_PUBLIC int vm_restart_instruction(struct vcpu *vcpu);

/*
 * Set one register.  Values wider than the register are an error.
 *
 * Errors: EINVAL (no such register, value too wide or not allowed), EBUSY (the vCPU runs), EPERM (read-only).
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_set_register(struct vcpu *vcpu, int reg, uint64_t val);

/*
 * Get one register.
 *
 * Errors: EINVAL, EBUSY.
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_get_register(struct vcpu *vcpu, int reg, uint64_t *val);

/*
 * vm_set_register() for count registers; stops at the first error, with the ones before it set.
 *
 * Errors: as vm_set_register().
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_set_register_set(struct vcpu *vcpu, unsigned count, const int *regs, const uint64_t *vals);

/*
 * vm_get_register() for count registers.
 *
 * Errors: as vm_get_register().
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_get_register_set(struct vcpu *vcpu, unsigned count, const int *regs, uint64_t *vals);

/*
 * The name of a register ("rip", "x0") and its width in bits; NULL if there is none of that number.
 *
 * Threads: any.
 */
VM_PUBLIC const char *vm_register_name(struct vmctx *ctx, int reg, unsigned *bits);

/*
 * Name of the system register reg, numbered as u.sysreg.reg of an exit has it, in the words of the architecture's manuals ("IA32_PMCn", with an n in
 * place of what differs within a group); NULL if there is none.
 *
 * Ownership: the library's.
 * Errors: EINVAL.
 * Threads: any.
 */
VM_PUBLIC const char *vm_sysreg_name(struct vmctx *ctx, uint64_t reg);

/*
 * Translate a guest-virtual address with the vCPU's present mode, for prot (VM_PROT_*), without side effects.  *fault
 * is 0, or 1 if the guest would take a page fault.
 *
 * Errors: EINVAL, EBUSY (the vCPU runs).
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_gva2gpa(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault);

/*
 * Copy len bytes at off of a declared field of the vCPU's state (vmmapi/<arch>.h: "fxsave", "v"), in the host's byte order: what is too wide
 * for a register number.
 *
 * Errors: EINVAL (no such field, beyond its end), EBUSY (the vCPU runs).
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_vcpu_field_get(struct vcpu *vcpu, const char *field, size_t off, void *buf, size_t len);

/*
 * The other way, at most 1024 bytes.  What would be a state that no processor has is refused, and nothing is changed.
 *
 * Errors: EINVAL (no such field, beyond its end, too many bytes, a value that is not allowed), EBUSY (the vCPU runs).
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_vcpu_field_set(struct vcpu *vcpu, const char *field, size_t off, const void *buf, size_t len);

/* A point at which a debugger wants vCPUs to stop: [addr, addr + len) of guest-virtual (amd64: linear) addresses; len of VM_DEBUG_EXEC is not used. */
struct vm_debug_point {
	enum vm_debug_kind kind;
	uint64_t	addr;
	uint64_t	len;
};
#define	VM_DEBUG_MAX	256		/* points of a VM */

/*
 * Stop every vCPU at these n points, in place of those from before: vm_run() returns VM_EXIT_DEBUG with VM_DEBUG_AT_POINT.  The guest's
 * memory and its own debug registers stay as they are.  At an instruction the stop is before it, and a vCPU that is run again there stops again,
 * unless it is made to step (VM_CAP_SINGLE_STEP).  At data it is where the architecture's own watchpoints are: behind the instruction on amd64,
 * before it on arm64, where it stops again too until the point is taken away.
 *
 * soft has as many points of any length as fit; kvm has those of the processor, which have an aligned length of 1, 2, 4 or 8 bytes.
 *
 * Errors: EBUSY (the VM is not paused), EINVAL (a point, or before vm_start()), ENOSPC (more points than there can be), ENOTSUP
 * (the back end has none such); then the points from before are still there.
 * Threads: any, while the VM is paused.
 */
VM_PUBLIC int vm_debug_set(struct vmctx *ctx, const struct vm_debug_point *points, unsigned n);

/*
 * While a vCPU is held it executes nothing when the VM is resumed: its vm_run() waits inside as if the VM were still paused.
 *
 * Errors: EBUSY (the VM is not paused).
 * Threads: any, while the VM is paused.
 */
VM_PUBLIC int vm_vcpu_hold(struct vcpu *vcpu, bool hold);

/*
 * Sockets, cores and threads that the guest is told of.  maxcpus must be 0 on set.
 *
 * Errors: EINVAL (a zero, or a product above VM_MAXCPU).
 * Threads: set-up.
 */
VM_PUBLIC int vm_set_topology(struct vmctx *ctx, uint16_t sockets, uint16_t cores, uint16_t threads,
    uint16_t maxcpus);
/* What vm_set_topology() set, 1 each by default; *maxcpus is VM_MAXCPU.  Threads: any. */
VM_PUBLIC int vm_get_topology(struct vmctx *ctx, uint16_t *sockets, uint16_t *cores, uint16_t *threads,
    uint16_t *maxcpus);

/*
 * Say in one line where a vCPU is, for a log: its program counter, mode and a few registers as "name=0x...", with spaces between.  What has no
 * room in len bytes of buf is left out.
 *
 * Errors: EINVAL, EBUSY (it runs), and those of the back end when it does not give the state.
 * Threads: any.
 */
VM_PUBLIC int vm_vcpu_describe(struct vcpu *vcpu, char *buf, size_t len);

/* Counters of a vCPU. */
enum vm_stat {
	VM_STAT_INSNS,		/* retired instructions (soft; 0 on kvm) */
	VM_STAT_EXITS,		/* returns to the library */
	VM_STAT_MMIO,		/* accesses to MMIO ranges */
	VM_STAT_IO,		/* accesses to ports */
	VM_STAT_DOORBELL,	/* doorbells rung through the library */
	VM_STAT_INTR,		/* interrupts taken (soft) */
	VM_STAT_HALT,		/* waits for an interrupt */
	VM_STAT_KICK,		/* kicks received */
	VM_STAT_JIT_BLOCKS,	/* stretches of code that were translated to native code (soft), the bytes of that */
	VM_STAT_JIT_BYTES,
	VM_STAT_JIT_FLUSHES,	/* times that all of it was dropped because it was full */
	VM_STAT_JIT_LINKS,	/* jumps led directly from native code to native code */
	VM_STAT_JIT_ENTRIES,	/* times that native code was entered */
	VM_STAT_JIT_CHECKED,	/* instructions that were compared (vm_jit.check) */
	VM_STAT_JIT_CALLS,	/* instructions that native code left to a function (soft, amd64) */
	VM_STAT_JIT_FINDS,	/* times that native code was left because what follows was not known to it, */
	VM_STAT_JIT_JOINS,	/* because two stretches of it are to be joined, */
	VM_STAT_JIT_STOPS,	/* and because an instruction stopped: an exception, an exit, a wait */
	VM_STAT_TLB_MISSES,	/* translations of pages looked up in the guest's tables (soft), */
	VM_STAT_TLB_FLUSHES,	/* and times that all of them were dropped, or those of an address space */
	VM_STAT_POLLS,		/* sleeps while the guest waited by reading the clock again and again (soft, arm64) */
	VM_STAT_SYSREG,		/* accesses to system registers that nobody models */
	VM_STAT_KVM_RUNS,	/* times that the kernel was asked to run the guest (kvm; these all), and what it came back for: */
	VM_STAT_KVM_IO,		/* ports, */
	VM_STAT_KVM_MMIO,	/* memory that is no RAM, */
	VM_STAT_KVM_SYSREG,	/* system registers that the kernel does not have for the guest, */
	VM_STAT_KVM_SIGNALS,	/* requests of the library, */
	VM_STAT_KVM_RING,	/* a dirty ring that is full, */
	VM_STAT_KVM_OTHER,	/* and anything else */
	VM_STAT_LAST
};

/*
 * The counters of a vCPU, VM_STAT_LAST of them; the array is the calling thread's and valid until its next call.
 *
 * Threads: any.
 */
VM_PUBLIC const uint64_t *vm_get_stats(struct vcpu *vcpu, int *entries);

/* What a counter counts, in words; NULL past the last.  Threads: any. */
VM_PUBLIC const char *vm_get_stat_desc(struct vmctx *ctx, int index);

/*
 * SECTION: Interrupts
 *
 * A device holds one handle per interrupt and knows no pin, vector, GSI or SPI.  The machine opens the handle: of
 * an input line of the interrupt controller, or of a message (MSI).
 */

/*
 * Open a source on line (amd64: GSI; arm64: SPI).  Sources of one line are wired-OR: each keeps its own level.
 *
 * Errors: EINVAL (no such line), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC struct vm_irq *vm_irq_open_line(struct vmctx *ctx, unsigned line);

/*
 * Open a message source.  requester is the sender's id (PCI bus << 8 | device << 3 | function), which controllers
 * with translation use.  It starts masked, with no address.
 *
 * Errors: EINVAL (requester above 0xffff), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC struct vm_irq *vm_irq_open_msi(struct vmctx *ctx, uint32_t requester);

/* Deassert and close; afterwards no callback of it runs.  NULL is ignored.  Threads: any, not from its own callback. */
VM_PUBLIC void vm_irq_close(struct vm_irq *irq);

/*
 * Line: raise this source's level.  Message: send it, or make it pending if masked.
 *
 * Errors: EINVAL (a message without an address that the controller takes).
 * Threads: any.
 */
VM_PUBLIC int vm_irq_assert(struct vm_irq *irq);

/* Line: lower this source's level.  Message: nothing.  Threads: any. */
VM_PUBLIC int vm_irq_deassert(struct vm_irq *irq);

/* Line: one edge, as assert and deassert in one.  Message: as vm_irq_assert().  Threads: any. */
VM_PUBLIC int vm_irq_pulse(struct vm_irq *irq);

/*
 * Change address and data of a message.
 *
 * Errors: EINVAL (a line).
 * Threads: any.
 */
VM_PUBLIC int vm_irq_set_msi(struct vm_irq *irq, uint64_t addr, uint32_t data);

/*
 * Mask or unmask.  A masked message that is raised becomes pending; unmasking sends it.  A masked line source does
 * not drive its line.
 *
 * Threads: any.
 */
VM_PUBLIC int vm_irq_set_mask(struct vm_irq *irq, bool masked);

/* Set or clear a message's pending bit.  Errors: EINVAL (a line).  Threads: any. */
VM_PUBLIC int vm_irq_set_pending(struct vm_irq *irq, bool pending);

/* What a handle is, for snapshots and for a device's pending-bit array. */
struct vm_irq_info {
	bool		is_msi;
	bool		masked;
	bool		level;		/* line: this source's level */
	bool		pending;	/* message */
	uint32_t	line;		/* line */
	uint32_t	requester;	/* message */
	uint32_t	data;
	uint64_t	addr;
};

/* Read a handle's state.  Threads: any. */
VM_PUBLIC int vm_irq_get_info(struct vm_irq *irq, struct vm_irq_info *info);

/*
 * Bind eventfds.  Writing trigger sends a message, or pulses a line.  With resample (-1 for none) a line is driven as a
 * level: a write to trigger asserts it; when the guest ends the interrupt, it is deasserted and resample is written, and the
 * owner triggers again if its reason persists.  trigger -1 unbinds.
 *
 * Ownership: both stay the caller's, and open until unbound or closed.
 * Errors: EINVAL (resample for a message), EBADF.
 * Threads: any.
 */
VM_PUBLIC int vm_irq_bind(struct vm_irq *irq, int trigger, int resample);

/*
 * Call fn(arg) whenever the guest ends an interrupt of this line while it is level-triggered.  It is called on a vCPU's or a
 * library's thread, with no lock held, and may assert and deassert.  fn NULL takes it back and
 * waits for a call under way.
 *
 * Errors: EINVAL (a message).
 * Threads: any, not from the callback.
 */
VM_PUBLIC int vm_irq_on_eoi(struct vm_irq *irq, void (*fn)(void *arg), void *arg);

/*
 * Until the matching vm_irq_release(), keep changes of message routes back, and then make them at once.  Calls nest.
 *
 * Threads: any.
 */
VM_PUBLIC int vm_irq_hold(struct vmctx *ctx);
/* See vm_irq_hold().  Errors: EINVAL (not held).  Threads: any. */
VM_PUBLIC int vm_irq_release(struct vmctx *ctx);

/*
 * Send a message without a handle: bhyve's call, a shim.
 *
 * Errors: EINVAL.
 * Threads: any.
 */
VM_PUBLIC int vm_raise_msi(struct vmctx *ctx, uint64_t addr, uint64_t msg, int bus, int slot, int func);

/*
 * SECTION: Doorbells
 *
 * A doorbell turns a guest write into an event without an exit: the fast path of virtqueues.  Where the library itself
 * executes the guest, it calls notify instead, if there is one.
 */

struct vm_doorbell_spec {
	enum vm_space	 space;
	uint64_t	 addr;
	unsigned	 size;		/* 1, 2, 4 or 8; 0: a write of any size */
	bool		 match;		/* only writes of value (then size is not 0) */
	uint64_t	 value;
	int		 fd;		/* an eventfd to be written */
	void		(*notify)(void *arg);	/* on the vCPU's thread, or NULL: write fd */
	void		*arg;
};

/*
 * Install a doorbell.
 *
 * Ownership: fd stays the caller's, open until the close.
 * Errors: EINVAL, EBADF, EEXIST (the same one is there), ENOSPC (the back end's limit), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC struct vm_doorbell *vm_doorbell_open(struct vmctx *ctx, const struct vm_doorbell_spec *spec);

/* Remove a doorbell; a notify under way may still be running: vm_range_sync().  NULL is ignored.  Threads: any. */
VM_PUBLIC void vm_doorbell_close(struct vm_doorbell *db);

/*
 * SECTION: Clock and timers
 *
 * A VM has one clock, in nanoseconds since it first ran, which stands while the VM is paused.  Timers are counters on it
 * with a frequency of their own.
 */

/* The VM's clock.  Threads: any. */
VM_PUBLIC uint64_t vm_clock_now(struct vmctx *ctx);

/*
 * Set the VM's clock, as a restore does; armed timers keep their counts.
 *
 * Threads: set-up.
 */
VM_PUBLIC int vm_clock_set(struct vmctx *ctx, uint64_t ns);

/* Hz of the processor's counter (amd64: TSC, arm64: CNTFRQ).  Threads: any. */
VM_PUBLIC uint64_t vm_get_counter_freq(struct vmctx *ctx);

/*
 * Set it, 1 MHz to 10 GHz.
 *
 * Errors: EINVAL, EBUSY (vm_start() was called).
 * Threads: set-up.
 */
VM_PUBLIC int vm_set_counter_freq(struct vmctx *ctx, uint64_t hz);

/*
 * Open a timer whose count advances hz times a second from 0 at the clock's 0.  fire(arg) is called once per
 * vm_timer_arm(), at or soon after the deadline, on a library's thread (icount: on a vCPU's thread, at the exact
 * instruction), with no lock held.
 *
 * Errors: EINVAL (hz 0 or above 10 GHz, fire NULL), ENOMEM, EAGAIN (no thread).
 * Threads: any.
 */
VM_PUBLIC struct vm_timer *vm_timer_open(struct vmctx *ctx, uint64_t hz, void (*fire)(void *arg), void *arg);

/* Close; waits for a fire under way unless it is the caller.  NULL is ignored.  Threads: any. */
VM_PUBLIC void vm_timer_close(struct vm_timer *timer);

/* The count now: clock * hz + offset, modulo 2^64.  Threads: any. */
VM_PUBLIC uint64_t vm_timer_count(struct vm_timer *timer);

/* Make the count be value now; an armed deadline keeps its count.  Threads: any. */
VM_PUBLIC int vm_timer_set_count(struct vm_timer *timer, uint64_t value);

/* Fire when the count reaches deadline (modulo 2^64, at most 2^63 ahead; a past one fires at once).  Threads: any. */
VM_PUBLIC int vm_timer_arm(struct vm_timer *timer, uint64_t deadline);

/* Take an arm back.  A fire under way may still be running.  Threads: any. */
VM_PUBLIC int vm_timer_disarm(struct vm_timer *timer);

/* Whether it is armed, and for what count (NULL allowed).  Threads: any. */
VM_PUBLIC bool vm_timer_armed(struct vm_timer *timer, uint64_t *deadline);

/*
 * SECTION: Capabilities
 *
 * Switches of a vCPU.  Which exist is the architecture's list; what the chosen back end lacks is ENOTSUP.  Before a back end is
 * chosen they are answered and remembered from the list.
 */

enum vm_cap_type {
	VM_CAP_HALT_EXIT,		/* halt_exit: waiting for an interrupt leaves vm_run() */
	VM_CAP_PAUSE_EXIT,		/* pause_exit: a spin-wait hint leaves vm_run() */
	VM_CAP_UNRESTRICTED_GUEST,	/* unrestricted_guest: may start without paging */
	VM_CAP_MASK_INTR,		/* mask_hwintr: hold external interrupts back */
	VM_CAP_SINGLE_STEP,		/* single_step: VM_EXIT_DEBUG after each instruction */
	VM_CAP_BREAK_EXIT,		/* bpt_exit: breakpoint instructions leave vm_run() */
	VM_CAP_MD_FIRST = 32,		/* from here on the architecture's own */
	VM_CAP_MAX = 64
};

/*
 * Read a capability.
 *
 * Errors: ENOTSUP (not of this architecture or back end), EINVAL.
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_get_capability(struct vcpu *vcpu, enum vm_cap_type cap, int *val);

/*
 * Set a capability to 0 or 1.
 *
 * Errors: ENOTSUP, EINVAL, EBUSY (the vCPU runs).
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_set_capability(struct vcpu *vcpu, enum vm_cap_type cap, int val);

/* The number of a capability's name, -1 if there is none.  Threads: any. */
VM_PUBLIC int vm_capability_name2type(const char *name);

/* The name of a capability, NULL if there is none of that number in any architecture.  Threads: any. */
VM_PUBLIC const char *vm_capability_type2name(int cap);

/*
 * SECTION: Passthrough
 *
 * Host PCI devices given to the guest, by VFIO: the device reads and writes the guest's memory through the host's IOMMU, so all of that is pinned;
 * its memory is mapped into the guest, and its interrupts are messages of the guest's.  A back end that executes the guest itself cannot have
 * one, since it would not learn what the device writes: there, every call fails with ENOTSUP.
 *
 * bus, slot and func are the host's.  On a host with several PCI domains, bus is domain * 256 + bus, so up to 0xffffff.  All devices of an
 * IOMMU group go together: each is bound to vfio-pci or to no driver.
 *
 * The calls beside bhyve's (vm_pptdev_*) are what a device model needs to show the device to the guest.  Unless said otherwise each fails with
 * EINVAL (NULL, no such address), ENOTSUP (the back end) and ENODEV (the device is not assigned to this VM), and
 * the device stays assigned until vm_unassign_pptdev() or the end of the VM.
 */

/*
 * Give the device to the VM: it is reset, and may use all of the VM's RAM once its bus mastering is switched on.  After vm_setup_memory().
 *
 * Errors: ENOENT (the host has no such device), ENODEV (no IOMMU group, no VFIO), EPERM (its driver is not vfio-pci; the IOMMU does not
 * remap interrupts), EACCES (the group's file), EBUSY (the group is in use, or not all of it is free), ENOMEM (memory that may be locked; see
 * ulimit -l), EEXIST (assigned already), EINVAL, ENOTSUP, those of open(2) and VFIO.
 * Threads: any, while no other call is about this device.
 */
VM_PUBLIC int vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func);

/*
 * Take it back: its interrupts and mappings go, the device is reset, and memory is pinned no more once the last device is gone.
 *
 * Errors: ENODEV, EINVAL, ENOTSUP.
 * Threads: any, while no other call is about this device.
 */
VM_PUBLIC int vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func);

/*
 * Map a part of its memory at gpa, so that the guest reaches it without an exit: hpa, as struct vm_pptdev_bar says, and len are multiples of the
 * host's page.  What is claimed there by vm_range_add() is hidden by it.
 *
 * Errors: EINVAL (alignment; no BAR has this), EEXIST (RAM or another device is at gpa), ENOTSUP (the host does not let this part be
 * mapped: vm_pptdev_bar_read() reaches it), ENODEV, those of mmap(2) and the back end.
 * Threads: any.
 */
VM_PUBLIC int vm_map_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len,
    vm_paddr_t hpa);

/*
 * Undo a vm_map_pptdev_mmio() with the same gpa and len.
 *
 * Errors: ENOENT (there is no such mapping), ENODEV, EINVAL, ENOTSUP.
 * Threads: any.
 */
VM_PUBLIC int vm_unmap_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len);

/*
 * Send its numvec messages (MSI; a power of 2) to addr, with msg and, in the low bits of that, the message's number.  0 switches MSI off.  Switches
 * MSI-X and the pin off; they come back when MSI is switched off.
 *
 * Errors: EINVAL (it has not as many), ENOSPC (the host has not), ENODEV, ENOTSUP, those of VFIO.
 * Threads: any.
 */
VM_PUBLIC int vm_setup_pptdev_msi(struct vmctx *ctx, int bus, int slot, int func, uint64_t addr, uint64_t msg,
    int numvec);

/*
 * Send its message idx (MSI-X, from 0) to addr with msg, or keep it pending while bit 0 of vector_control is set.  The first of them
 * switches MSI-X on, and MSI and the pin off.
 *
 * Errors: EINVAL (it has no such message), ENOSPC (the host has not as many), ENODEV, ENOTSUP, those of VFIO.
 * Threads: any.
 */
VM_PUBLIC int vm_setup_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func, int idx, uint64_t addr,
    uint64_t msg, uint32_t vector_control);

/* Switch its MSI-X off; what is pending is forgotten.  Errors: ENODEV, EINVAL, ENOTSUP.  Threads: any. */
VM_PUBLIC int vm_disable_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func);

/*
 * Reset the device: it stops reading and writing memory, and messages are off.  Its mappings stay.
 *
 * Errors: ENOTSUP (it has no reset, or the back end), ENODEV, EINVAL, those of VFIO.
 * Threads: set-up, while no vCPU is in guest code.
 */
VM_PUBLIC int vm_reset_pptdev(struct vmctx *ctx, int bus, int slot, int func);

#define	VM_PPTDEV_BARS		6
#define	VM_PPTDEV_BAR_IO	0x01U	/* ports */
#define	VM_PPTDEV_BAR_64	0x02U	/* its address has 64 bits, and the next BAR has the other half */
#define	VM_PPTDEV_BAR_MAP	0x04U	/* can be mapped, at least in part */

/* A BAR; size 0: there is none. */
struct vm_pptdev_bar {
	uint64_t	size;		/* bytes */
	vm_paddr_t	hpa;		/* where it is on the host */
	uint32_t	flags;		/* VM_PPTDEV_BAR_* */
};

/* An assigned device. */
struct vm_pptdev_info {
	struct vm_pptdev_bar bar[VM_PPTDEV_BARS];
	unsigned	msi, msix;	/* messages that it can send */
	bool		pin;		/* it has an interrupt pin */
	bool		reset;		/* vm_reset_pptdev() works */
	unsigned	group;		/* its IOMMU group */
};

/* What the device has.  Errors: ENODEV, EINVAL, ENOTSUP.  Threads: any. */
VM_PUBLIC int vm_pptdev_get_info(struct vmctx *ctx, int bus, int slot, int func, struct vm_pptdev_info *info);

/*
 * Read a register of its configuration space: size is 1, 2 or 4 bytes, off a multiple of it below 4096.  What the device does not have, and what the host keeps to itself,
 * reads as VFIO has it.
 *
 * Errors: EINVAL (off, size), ENODEV, ENOTSUP, those of pread(2).
 * Threads: any.
 */
VM_PUBLIC int vm_pptdev_cfg_read(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t *val);

/* Write one.  BARs and messages are not changed by it.  Errors: as vm_pptdev_cfg_read().  Threads: any. */
VM_PUBLIC int vm_pptdev_cfg_write(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t val);

/*
 * Read size bytes (1, 2, 4 or 8) at a multiple of size in BAR n, as the guest would.
 *
 * Errors: EINVAL (n, off, size), ENODEV, ENOTSUP, those of pread(2).
 * Threads: any.
 */
VM_PUBLIC int vm_pptdev_bar_read(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t *val);

/* Write them.  Errors: as vm_pptdev_bar_read().  Threads: any. */
VM_PUBLIC int vm_pptdev_bar_write(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t val);

/*
 * Have fn called when the device raises its pin, while no messages are switched on.  The pin is then masked until vm_pptdev_unmask_pin(), after which fn is
 * called again if it is still raised.  NULL: the pin is masked; no call is under way when that returns.
 *
 * Errors: EINVAL (it has no pin), ENODEV, ENOTSUP, those of VFIO.
 * Threads: any, but fn; fn is called by the library's own thread, with no lock held.
 */
VM_PUBLIC int vm_pptdev_set_pin(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg), void *arg);

/* The guest has dealt with the pin.  Nothing if that is not in use.  Errors: ENODEV, EINVAL, ENOTSUP, those of VFIO.  Threads: any. */
VM_PUBLIC int vm_pptdev_unmask_pin(struct vmctx *ctx, int bus, int slot, int func);

/* What the host has to say of a device. */
enum vm_pptdev_notice {
	VM_PPTDEV_FAILED,	/* an error that it does not recover from by itself: what it did and does is not to be relied upon */
	VM_PPTDEV_WANTED,	/* somebody takes its driver away on the host, and waits for vm_unassign_pptdev(); said again and again */
	VM_PPTDEV_NOTICES
};

/*
 * Have fn called when the host has something to say of the device, as far as the kernel tells; NULL: not any more, and no call is under way when that
 * returns.  fn may be called more than once for one reason; it does not give the device back by itself.
 *
 * Errors: ENODEV, EINVAL, ENOTSUP, those of VFIO.
 * Threads: any, but fn; fn is called by the library's own thread, with no lock held.
 */
VM_PUBLIC int vm_pptdev_set_notice(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg, enum vm_pptdev_notice what), void *arg);

/*
 * Who the guest takes for the sender of its messages: bus, device and function in 16 bits, as the guest counts.  For those that are set up from
 * now on; 0 before.
 *
 * Errors: EINVAL (more than 16 bits), ENODEV, ENOTSUP.
 * Threads: any.
 */
VM_PUBLIC int vm_pptdev_set_requester(struct vmctx *ctx, int bus, int slot, int func, uint32_t requester);

/*
 * Whether message idx of MSI-X waits for being unmasked: 1 or 0.
 *
 * Errors: EINVAL (it has no such message), ENODEV, ENOTSUP.
 * Threads: any.
 */
VM_PUBLIC int vm_pptdev_get_pending(struct vmctx *ctx, int bus, int slot, int func, int idx);

/*
 * SECTION: State
 *
 * The library's part of a snapshot: clock, vCPUs, interrupt controllers, layout and mappings, as a self-describing, checksummed
 * stream of declared fields (vmmapi/state.h).  Memory contents and devices are the caller's.
 */

struct vm_state_out;	/* vmmapi/state.h */
struct vm_state_in;

/*
 * Append the VM's sections to out.  The VM must be paused, or no vCPU running.  Tables that interrupt controllers keep in guest memory
 * may be written here: copy what memory contains after it.
 *
 * Errors: EBUSY, ENOMEM.
 * Threads: set-up.
 */
VM_PUBLIC int vm_state_save(struct vmctx *ctx, struct vm_state_out *out);

/*
 * Read the VM's sections from in.  The VM has the same architecture, layout and vCPUs, and its memory the contents that belong to
 * them already.  On failure the VM is to be destroyed or restored again.
 *
 * Errors: EILSEQ (damaged; the sentence says where), ENOTSUP (a version or field that is not known), EBUSY.
 * Threads: set-up.
 */
VM_PUBLIC int vm_state_load(struct vmctx *ctx, struct vm_state_in *in);

#ifdef __cplusplus
}
#endif

#endif /* _VMMAPI_H_ */
