/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line.h - driving a device's interrupt line where it can be traced.
 */
#ifndef _HYVE_LINE_H_
#define	_HYVE_LINE_H_

#include "device.h"
#include "trace.h"

/* Assert or deassert an interrupt of dev, which may be so already; NULL is ignored.  Any thread. */
static inline void
device_line(struct device *dev, struct vm_irq *irq, bool level)
{
	if (irq == NULL)
		return;
	TRACE(dev->vmm->log, irq__line, dev->name, level);
	(void)(level ? vm_irq_assert(irq) : vm_irq_deassert(irq));
}

#endif /* _HYVE_LINE_H_ */
