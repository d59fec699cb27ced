/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_pm_timer.h - what the ACPI PM register block asks of its timer: bit 0 of PM1_STS and PM1_EN
 * (ACPI 6.4 section 4.8.3.1), and where the timer's port is.
 *
 * Functions take a device of class "acpi-pm-timer" only, and may be called with the caller's own
 * lock held.
 */
#ifndef _HYVE_ACPI_PM_TIMER_H_
#define	_HYVE_ACPI_PM_TIMER_H_

#include <stdbool.h>
#include <stdint.h>

struct device;

#define	ACPI_PM_TIMER_NOWHERE	UINT64_MAX	/* as device_place.base, or for a move: no port */

/* TMR_VAL.  Any thread. */
uint32_t acpi_pm_timer_value(struct device *dev);

/* Bits in TMR_VAL, 24 or 32: TMR_VAL_EXT of the FADT.  Any thread. */
unsigned acpi_pm_timer_bits(struct device *dev);

/* TMR_STS: the highest bit of TMR_VAL has changed since it was last cleared.  Any thread. */
bool	acpi_pm_timer_sts(struct device *dev);

/* Write 1 to TMR_STS.  Any thread. */
void	acpi_pm_timer_clear_sts(struct device *dev);

/* TMR_EN, which the timer keeps and saves.  Any thread. */
bool	acpi_pm_timer_en(struct device *dev);
void	acpi_pm_timer_set_en(struct device *dev, bool en);

/*
 * Call fn(arg) when TMR_STS becomes 1 while TMR_EN is 1, and after a resume if both are 1, so that
 * the caller looks whether to raise the SCI.  It is called on libvmmapi's timer thread with no lock
 * held, never by the functions above: their caller looks by itself.  fn NULL takes it back.
 *
 * Control thread, while paused.
 */
void	acpi_pm_timer_on_sts(struct device *dev, void (*fn)(void *arg), void *arg);

/*
 * Have TMR_VAL at base from now on, or nowhere, as PMBASE is written.  Its range has priority 1, so
 * that it may lie inside of the block's own.  Where it is is the caller's state, not the timer's.
 *
 * Errors: those of vm_range_add(); then it is nowhere.
 * Any thread, one at a time.
 */
int	acpi_pm_timer_move(struct device *dev, uint64_t base);

#endif /* _HYVE_ACPI_PM_TIMER_H_ */
