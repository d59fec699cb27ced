/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * least.h - the least that runs a kernel on KVM, to compare with: what the host's architecture adds to it.
 */
#ifndef _LEAST_H_
#define	_LEAST_H_

#include <linux/kvm.h>

#include <stddef.h>
#include <stdint.h>

struct least {
	int		 kvm, vm, cpu;
	struct kvm_run	*run;
	uint8_t		*ram;		/* of ram_len bytes at ram_at */
	uint64_t	 ram_at;
	size_t		 ram_len;
};

/* End with what the system says of a call. */
void	least_die(const char *what) __attribute__((noreturn));
/* A request that must not fail. */
void	least_ioctl(int fd, unsigned long request, const void *arg, const char *what);
/* A character of the guest's console. */
void	least_put(uint8_t c);

/* The architecture's part. */
extern const uint64_t least_ram_at;
void	least_vm(struct least *l);				/* controllers that come before vCPUs */
void	least_cpu(struct least *l, const uint8_t *image, size_t len);	/* the kernel's file is in memory, and the vCPU at its entry */
void	least_access(struct kvm_run *run);			/* an access of the guest's that is ours */

#endif /* _LEAST_H_ */
