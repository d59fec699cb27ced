/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * code.h - decoded code, and how writes to it are noticed.
 *
 * A vCPU's blocks are found by the place their bytes have in memory (segment and offset) and the mode they were decoded for, so they
 * outlive changes of address spaces and of the memory map.  A block lies in one page, or, if its only instruction crosses
 * into the next one, in two.
 *
 * The VM knows for each page which of its 64 lines have code (struct soft_track), and when a vCPU last had it writable.
 *   To decode:  if the page may be writable somewhere, let every vCPU drop its write tags; note the lines; then read the bytes.
 *   To store:   without a write tag: store, then look at the lines.  If there is code, take the lines back and tell
 *               every vCPU, which drops its blocks there at its next event check; the writer does so at once.
 * Whichever comes first, either the decoder reads the new bytes or the writer sees the lines.  Devices' writes come the same way,
 * through dirty_commit_seg().
 *
 * A block that is dropped while it runs is stopped before its next instruction: each of its instructions is made one that leaves.
 */
#ifndef _VMMAPI_SOFT_CODE_H_
#define	_VMMAPI_SOFT_CODE_H_

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmmapi.h>

struct soft_cpu;
struct vmctx;
struct vm_mapping;
struct jit_block;

/* A place in memory. */
#define	SOFT_PLACE(segid, off)	((uint64_t)(segid) << 48 | (off))
#define	SOFT_NOPLACE		UINT64_MAX

struct soft_block {
	struct soft_block *hnext;	/* same hash */
	struct soft_block *pnext[2];	/* same page, same second page */
	uint64_t	 place;		/* of its first byte */
	uint64_t	 place2;	/* of the page its end is in, SOFT_NOPLACE */
	uint32_t	 mode;
	uint16_t	 bytes;
	uint16_t	 n;		/* instructions */
	bool		 stale;
	bool		 debug;		/* its one instruction may be one to stop at (vm->debug): it is never translated */
	uint16_t	 heat;		/* entries since it was made: jit/jit.h */
	struct jit_block *jit;		/* its translation to native code, NULL */
	/* the core's instructions follow, aligned to 16 */
};

#define	SOFT_BLOCK_CODE(b)	((void *)((char *)(b) + ((sizeof(struct soft_block) + 15) & ~(size_t)15)))

#define	SOFT_CODE_HASH	16384U
#define	SOFT_CODE_PAGES	4096U
#define	SOFT_CODE_ARENA	(32UL << 20)	/* bytes of decoded code of a vCPU; when full, all of it goes */

struct soft_code {
	struct soft_block *hash[SOFT_CODE_HASH];
	struct soft_block *page[SOFT_CODE_PAGES];	/* by first page, by second page */
	struct soft_block *page2[SOFT_CODE_PAGES];
	uint8_t		*arena;
	size_t		 used;
	uint64_t	 rounds;	/* times that all of it went: no block from before is there any more */
	uint64_t	 seen;		/* of the VM's log of writes to code */
};

/* What the VM knows of a segment's pages. */
struct soft_track {
	_Atomic uint64_t *lines;	/* a bit per 64 bytes */
	_Atomic uint32_t *wgen;		/* soft_vm.wgen when a vCPU last entered it as writable, 0 never */
	size_t		 npages;
	struct soft_track *older;	/* from when the segment was smaller; someone may look at it */
};

#define	SOFT_LOG	1024U

/* Writes to code that vCPUs have to hear of. */
struct soft_log {
	pthread_mutex_t	 lock;
	_Atomic uint64_t seq;		/* entries ever made */
	struct {
		uint64_t place;		/* of the page */
		uint64_t lines;
	} e[SOFT_LOG];
};

struct soft_code *soft_code_create(struct soft_cpu *cpu);
void	soft_code_free(struct soft_code *c);
struct soft_block *soft_code_find(struct soft_code *c, uint64_t place, uint32_t mode, uint64_t place2);
/*
 * Before the bytes of [place, place + len) are read to be decoded: from here on writes to them are
 * noticed.  len is at most to the end of the page.  false: guest code was left for a moment, and
 * everything that was found out before, place included, has to be found out again.
 */
bool	soft_code_watch(struct soft_cpu *cpu, uint64_t place, unsigned len);
/*
 * A block with room for size bytes of the core's, not yet found.  While no block runs: when there is
 * no room left, every other one goes.
 */
struct soft_block *soft_code_alloc(struct soft_cpu *cpu, size_t size);
/* Its fields and the first `used' of these bytes are filled: let it be found. */
void	soft_code_add(struct soft_cpu *cpu, struct soft_block *b, size_t used);
/* Drop all blocks: what they are made by has changed.  While no block runs. */
void	soft_code_forget(struct soft_cpu *cpu);
/* Drop what others wrote to since the last time.  true if anything was. */
bool	soft_code_catch_up(struct soft_cpu *cpu);

/* A vCPU stored to [off, off + len) of a segment without a write tag.  In guest code. */
void	soft_code_wrote(struct soft_cpu *cpu, int segid, size_t off, size_t len);
/* The same by anyone else (accel_ops.mem_written). */
void	soft_mem_written(struct vmctx *vm, int segid, size_t off, size_t len);
/* May the page at off be entered as writable now?  Notes that it was. */
bool	soft_code_writable(struct soft_cpu *cpu, int segid, size_t off);
void	soft_track_free(struct soft_track *t);

#endif /* _VMMAPI_SOFT_CODE_H_ */
