/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rundir.h - what a VM is made of on disk, or in memory where it is anonymous.
 *
 * RUNDIR/NAME/state holds a header of VCPU_SLOT bytes and VM_MAXCPU state pages of VCPU_SLOT bytes; RUNDIR/NAME/mem
 * holds the memory segments.  Both are mapped shared and written through: nothing is lost with a process
 * that exits without a word.  The flock(2) on `state` is the VM's lock.  The layout is the host's: these files live in a run
 * directory of one machine and one version, which the header says.
 */
#ifndef _VMMAPI_RUNDIR_H_
#define	_VMMAPI_RUNDIR_H_

#include "internal.h"

#define	RD_MAGIC	"hyve vm"
#define	RD_VERSION	2
#define	RD_MAXMAPS	128
#define	RD_LIVE		1
#define	RD_DEAD		2	/* destroyed by someone who could not unlink it */

struct rd_header {
	char		magic[8];
	uint32_t	version;
	uint32_t	slot;			/* VCPU_SLOT */
	uint32_t	maxcpu;			/* VM_MAXCPU */
	uint32_t	arch;
	uint32_t	state;			/* RD_* */
	uint32_t	flags;			/* VM_SPEC_DESTROY */
	int32_t		memflags;
	uint32_t	suspended;
	uint16_t	sockets, cores, threads;
	uint64_t	counter_hz;
	char		cpu_model[16];		/* "": the back end's default */
	uint64_t	vcpu_used;		/* bit N: page N was filled */
	struct vm_layout layout;
	struct {
		char		name[VM_MAX_SEGNAME + 1];
		uint64_t	len, offset;
	} seg[VM_MAX_MEMSEGS];
	uint32_t	nmaps;
	struct {
		uint64_t	gpa, len, segoff;
		int32_t		segid, prot;
	} map[RD_MAXMAPS];
	int8_t		caps[VM_MAXCPU][VM_CAP_MAX];
};

_Static_assert(sizeof(struct rd_header) <= VCPU_SLOT, "header page");

#define	RD_STATE_LEN	((size_t)VCPU_SLOT * (1 + VM_MAXCPU))

struct rundir {
	bool		 anon;
	int		 parent;		/* run directory, -1 */
	int		 statefd;		/* locked, -1 */
	struct rd_header *hdr;			/* RD_STATE_LEN bytes mapped */
};

#endif /* _VMMAPI_RUNDIR_H_ */
