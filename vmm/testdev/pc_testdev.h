/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc_testdev.h - the test device of a PC, "pc-testdev": what guests that are tests of a hypervisor (kvm-unit-tests) look for at these places.
 *
 *	ports 0xf4 to 0xf7	a write of v ends the run with exit code 2 * v + 1
 *	ports 0xe0 to 0xe3	a register of 32 bits that accesses of any size read and write
 *	ports 0x2000 to 0x2017	the level of interrupt line 0 to 23: 0 is low
 *	0xff000000, 64 KiB	memory that is a device's: every access is emulated
 */
#ifndef _HYVE_PC_TESTDEV_H_
#define	_HYVE_PC_TESTDEV_H_

#include "../device.h"

#define	PC_TESTDEV_EXIT		0xf4	/* place.base */
#define	PC_TESTDEV_LINES	24

/*
 * The handles on the lines, by number, which outlive the device; those that are NULL do nothing.  end is called with the code when
 * the guest ends the run, by a vCPU's thread.  Control thread, while paused.
 */
void	pc_testdev_connect(struct device *dev, struct vm_irq *const lines[PC_TESTDEV_LINES], void (*end)(void *arg, int code), void *arg);

#endif /* _HYVE_PC_TESTDEV_H_ */
