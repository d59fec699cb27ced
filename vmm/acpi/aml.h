/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aml.h - writes ACPI machine language (ACPI 6.5 chapter 20) and resource templates (6.4).
 *
 * Things that hold others (scopes, devices, methods, packages, templates) are opened, filled and closed.  Names are as in ASL
 * but with segments padded to four characters: "\\_SB_", "PCI0".  Running out of memory is remembered and told by
 * aml_end().
 */
#ifndef _HYVE_AML_H_
#define	_HYVE_AML_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	AML_DEPTH	8

struct aml {
	uint8_t		*buf;
	size_t		 len, cap;
	bool		 failed;
	struct {
		size_t	 at;		/* of its package length */
		int	 count;		/* -1, or offset of its number of elements */
		bool	 buffer;
	} open[AML_DEPTH];
	unsigned	 depth;
};

void	aml_begin(struct aml *a);
/* The bytes, which are the caller's to free; NULL with errno ENOMEM. */
uint8_t	*aml_end(struct aml *a, size_t *len);

void	aml_scope(struct aml *a, const char *name);
void	aml_device(struct aml *a, const char *name);
void	aml_method(struct aml *a, const char *name, unsigned nargs);
void	aml_package(struct aml *a);		/* elements follow, counted by aml_element() */
void	aml_template(struct aml *a);		/* resource template: descriptors follow */
void	aml_close(struct aml *a);
void	aml_element(struct aml *a);		/* one more element of the package is about to be written */

void	aml_name(struct aml *a, const char *name);	/* Name(name, ...): its value follows */
void	aml_int(struct aml *a, uint64_t v);
void	aml_str(struct aml *a, const char *s);
void	aml_ref(struct aml *a, const char *name);		/* a name as a term: a call, a variable, an object */
void	aml_eisaid(struct aml *a, const char *id);	/* "PNP0A08" */
void	aml_bytes(struct aml *a, const void *p, size_t n);	/* anything */

/* Descriptors.  Address spaces are fixed and, for memory, uncached and writable. */
void	aml_res_bus(struct aml *a, uint16_t first, uint16_t last);
void	aml_res_io(struct aml *a, uint16_t port, uint8_t len);
void	aml_res_irq(struct aml *a, unsigned line);		/* edge, active high, exclusive */
void	aml_res_irqs(struct aml *a, unsigned lines);		/* one of them, a bit each: level, active low, shared */
void	aml_res_mem32(struct aml *a, uint32_t base, uint32_t len);	/* fixed */
void	aml_res_io_window(struct aml *a, uint16_t base, uint16_t last);
void	aml_res_mem_window(struct aml *a, uint64_t base, uint64_t last);
void	aml_res_mem(struct aml *a, uint64_t base, uint64_t len);	/* that the device itself takes */
/* Ports 0 to len - 1, which are memory from addr on. */
void	aml_res_io_in_memory(struct aml *a, uint64_t addr, uint64_t len);
void	aml_res_gsi(struct aml *a, unsigned gsi);			/* level, active high, exclusive */
void	aml_res_gpio_event(struct aml *a, const char *controller, unsigned pin);	/* an event at a rising edge */

#endif /* _HYVE_AML_H_ */
