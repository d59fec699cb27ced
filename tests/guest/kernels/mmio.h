/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmio.h - registers of devices in memory.
 */
#ifndef _MMIO_H_
#define	_MMIO_H_

#include <stdint.h>

static inline uint32_t
rd(uintptr_t addr)
{
	return (*(volatile uint32_t *)addr);
}

static inline void
wr(uintptr_t addr, uint32_t v)
{
	*(volatile uint32_t *)addr = v;
}

#endif /* _MMIO_H_ */
