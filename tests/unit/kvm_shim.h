/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_shim.h - what stands between the kvm back end and the kernel in tests (-Wl,--wrap), and guests for it.
 *
 * While a test has armed it, it counts calls, and the one that the test chose fails; or a KVM_RUN does not run and fills the run page as the test wants it.
 */
#ifndef _TESTS_KVM_SHIM_H_
#define	_TESTS_KVM_SHIM_H_

#include <vmmapi/amd64.h>

#include "kvm/kvm.h"
#include "test.h"

#define	RAM	(4UL << 20)
#define	CODE	0x1000
#define	PORT	0x80
#define	DEV	(VM_SYSMEM + VM_MAXSYSMEM)	/* a segment that is no RAM's */

struct kvm_shim {
	pthread_t	 thread;		/* calls of others are let through */
	bool		 any_thread;
	bool		 on;
	unsigned	 calls;			/* that counted */
	unsigned	 at, times;		/* fail calls at to at + times - 1, counting from 1 */
	int		 error;
	unsigned long	 req;			/* count this ioctl only; 0: any, and allocations, mappings, files */
	bool		 slow;			/* count those alone that can be interrupted */
	int		 slots;			/* what the kernel says of its slots; 0: the truth */
	int		 msrs;			/* so many registers of KVM_SET_MSRS are taken; -1: all */
	int64_t		 poll;			/* what KVM_CAP_HALT_POLL was set to, -1 */
	int		 runs;			/* so many KVM_RUNs return at once ... */
	int		 run_error;		/* ... with this, or as made() has it */
	void		(*made)(struct kvm_run *run);
	struct kvm_run	*run;
};
extern struct kvm_shim k;

/* Fail calls at to at + times - 1 of this thread with error: of ioctl req, or with 0 of any call, allocation, mapping and opening of a file. */
void	arm(unsigned at, unsigned times, int error, unsigned long req);
void	disarm(void);

int	__real_ioctl(int fd, unsigned long req, ...);

/* Guests in 16-bit mode.  mov al, 55h; out 80h, al; hlt */
static const uint8_t tell[] = { 0xb0, 0x55, 0xe6, PORT, 0xf4 };
/* jmp $ */
static const uint8_t spin[] = { 0xeb, 0xfe };
/* mov [4000h], al; mov [6000h], al; out 80h, al; jmp back */
static const uint8_t store[] = { 0xa2, 0x00, 0x40, 0xa2, 0x00, 0x60, 0xe6, PORT, 0xeb, 0xf6 };

void	need(void);				/* or the case is skipped */
struct vmctx *guest(const uint8_t *code, size_t len);
struct vcpu *cpu0(struct vmctx *vm);
void	runs_to(struct vmctx *vm, uint8_t byte);	/* the output of it */
void	*kicker(void *cpu);			/* a thread that kicks it in a while */

#endif
