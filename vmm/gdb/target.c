/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target.c - registers as a debugger has them: see target.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

static const struct gdb_target *const targets[] = { &gdb_target_amd64, &gdb_target_arm64 };

const struct gdb_target *
gdb_target_find(enum vm_arch arch)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (targets[i]->arch == arch)
			return (targets[i]);
	}
	return (NULL);
}

const struct gdb_reg *
gdb_target_reg(const struct gdb_target *t, uint64_t n)
{
	for (unsigned f = 0; f < t->nfeatures; f++) {
		if (n < t->features[f].nregs)
			return (&t->features[f].regs[n]);
		n -= t->features[f].nregs;
	}
	return (NULL);
}

int
gdb_reg_get(struct vcpu *vcpu, const struct gdb_reg *r, uint8_t val[GDB_REG_MAX])
{
	uint64_t num = 0;

	memset(val, 0, GDB_REG_MAX);
	if (r->get != NULL)
		return (r->get(vcpu, r, val));
	if (r->field != NULL)
		return (vm_vcpu_field_get(vcpu, r->field, r->off, val, r->size));
	if (vm_get_register(vcpu, r->reg, &num) != 0)
		return (-1);
	memcpy(val, &num, sizeof(num));
	return (0);
}

int
gdb_reg_set(struct vcpu *vcpu, const struct gdb_reg *r, const uint8_t val[GDB_REG_MAX])
{
	uint64_t num;

	if (r->set != NULL)
		return (r->set(vcpu, r, val));
	if (r->field != NULL)
		return (vm_vcpu_field_set(vcpu, r->field, r->off, val, r->size));
	memcpy(&num, val, sizeof(num));
	if (r->bits < 64)
		num &= (1ULL << r->bits) - 1;
	return (vm_set_register(vcpu, r->reg, num));
}

char *
gdb_target_xml(const struct gdb_target *t)
{
	char *text = NULL, integer[16];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return (NULL);
	fprintf(f, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\"><architecture>%s</architecture>",
	    t->name);
	for (unsigned i = 0; i < t->nfeatures; i++) {
		const struct gdb_feature *feature = &t->features[i];

		fprintf(f, "<feature name=\"%s\">%s", feature->name, feature->types != NULL ? feature->types : "");
		for (unsigned n = 0; n < feature->nregs; n++) {
			const struct gdb_reg *r = &feature->regs[n];

			(void)snprintf(integer, sizeof(integer), "int%u", r->bits);
			fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", r->name, r->bits, r->type != NULL ? r->type : integer);
		}
		fprintf(f, "</feature>");
	}
	fprintf(f, "</target>");
	if (fclose(f) != 0) {
		free(text);
		return (NULL);
	}
	return (text);
}
