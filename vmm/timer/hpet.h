/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hpet.h - what the machine asks of the HPET beyond what every device has.
 */
#ifndef _HYVE_HPET_H_
#define	_HYVE_HPET_H_

#include <stdbool.h>
#include <stdint.h>

struct device;

/*
 * In legacy replacement routing the HPET has interrupt lines 0 and 8 for itself: the 8254 and the
 * RTC must not drive them (IA-PC HPET 1.0a 2.3.5).  fn(arg, true) is called when that begins,
 * fn(arg, false) when it ends, and once with what holds at each resume; vm_irq_set_mask() on the
 * other two's handles is what it is for.  It runs on a vCPU's or the control thread with the
 * HPET's lock held and must not call the HPET.  fn NULL takes it back.
 *
 * Errors: EINVAL (not an HPET).
 * Control thread, while paused.
 */
int	hpet_on_legacy(struct device *dev, void (*fn)(void *arg, bool on), void *arg);

/*
 * The low half of the General Capabilities and ID register, which is the ACPI table's Event Timer
 * Block ID; 0 if dev is no HPET.  Any thread.
 */
uint32_t hpet_block_id(struct device *dev);

#endif /* _HYVE_HPET_H_ */
