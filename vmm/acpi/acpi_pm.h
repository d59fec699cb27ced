/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_pm.h - what the machine asks of the ACPI fixed hardware.
 */
#ifndef _HYVE_ACPI_PM_H_
#define	_HYVE_ACPI_PM_H_

struct device;

/*
 * The timer whose status and enable bits are in this block's PM1 registers.  It outlives the block, or is
 * taken back with NULL.  Control thread, while paused.
 */
void	acpi_pm_set_timer(struct device *dev, struct device *timer);

/* The power button was pressed (ACPI 6.4 section 4.8.2.2.1.1): the guest gets an event if it wants one.  Any thread. */
void	acpi_pm_power_button(struct device *dev);

#endif /* _HYVE_ACPI_PM_H_ */
