/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abi.c - what libvmmapi.so exports: the committed functions with the version and the prototypes
 * that were promised, the others with theirs, and nothing else.
 *
 * The committed list is written out here once more on purpose: a change of the header's marks must
 * not go unnoticed.
 */
#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <vmmapi/state.h>

#include "dynsym.h"
#include "test.h"

TEST_MAIN()

/* The committed prototypes: a function of any other type does not fit. */
static int (*const p_create)(const char *) = vm_create;
static struct vmctx *(*const p_open)(const char *) = vm_open;
static void (*const p_close)(struct vmctx *) = vm_close;
static void (*const p_destroy)(struct vmctx *) = vm_destroy;
static int (*const p_reinit)(struct vmctx *) = vm_reinit;
static struct vcpu *(*const p_vcpu_open)(struct vmctx *, int) = vm_vcpu_open;
static void (*const p_vcpu_close)(struct vcpu *) = vm_vcpu_close;
static int (*const p_vcpu_id)(struct vcpu *) = vcpu_id;
static int (*const p_parse_memsize)(const char *, size_t *) = vm_parse_memsize;
static int (*const p_setup_memory)(struct vmctx *, size_t, enum vm_mmap_style) = vm_setup_memory;
static void *(*const p_map_gpa)(struct vmctx *, vm_paddr_t, size_t) = vm_map_gpa;
static uint32_t (*const p_lowmem_limit)(struct vmctx *) = vm_get_lowmem_limit;
static size_t (*const p_lowmem_size)(struct vmctx *) = vm_get_lowmem_size;
static size_t (*const p_highmem_size)(struct vmctx *) = vm_get_highmem_size;
static void (*const p_set_memflags)(struct vmctx *, int) = vm_set_memflags;
static int (*const p_get_memflags)(struct vmctx *) = vm_get_memflags;
static int (*const p_set_register)(struct vcpu *, int, uint64_t) = vm_set_register;
static int (*const p_get_register)(struct vcpu *, int, uint64_t *) = vm_get_register;
static int (*const p_set_desc)(struct vcpu *, int, uint64_t, uint32_t, uint32_t) = vm_set_desc;
static int (*const p_get_desc)(struct vcpu *, int, uint64_t *, uint32_t *, uint32_t *) = vm_get_desc;
static int (*const p_get_capability)(struct vcpu *, enum vm_cap_type, int *) = vm_get_capability;
static int (*const p_set_capability)(struct vcpu *, enum vm_cap_type, int) = vm_set_capability;
static int (*const p_freebsd)(struct vcpu *, uint64_t, uint64_t, uint64_t, uint64_t) = vm_setup_freebsd_registers;
static int (*const p_freebsd_i386)(struct vcpu *, uint32_t, uint32_t, uint32_t) = vm_setup_freebsd_registers_i386;
static void (*const p_freebsd_gdt)(uint64_t *) = vm_setup_freebsd_gdt;

#define	F(name, ptr)	{ name, (void (*const *)(void))(const void *)&(ptr) }
static const struct {
	const char	*name;
	void		(*const *fn)(void);
} committed[] = {
	F("vm_create", p_create), F("vm_open", p_open), F("vm_close", p_close), F("vm_destroy", p_destroy),
	F("vm_reinit", p_reinit), F("vm_vcpu_open", p_vcpu_open), F("vm_vcpu_close", p_vcpu_close),
	F("vcpu_id", p_vcpu_id), F("vm_parse_memsize", p_parse_memsize), F("vm_setup_memory", p_setup_memory),
	F("vm_map_gpa", p_map_gpa), F("vm_get_lowmem_limit", p_lowmem_limit), F("vm_get_lowmem_size", p_lowmem_size),
	F("vm_get_highmem_size", p_highmem_size), F("vm_set_memflags", p_set_memflags),
	F("vm_get_memflags", p_get_memflags), F("vm_set_register", p_set_register),
	F("vm_get_register", p_get_register), F("vm_set_desc", p_set_desc), F("vm_get_desc", p_get_desc),
	F("vm_get_capability", p_get_capability), F("vm_set_capability", p_set_capability),
	F("vm_setup_freebsd_registers", p_freebsd), F("vm_setup_freebsd_registers_i386", p_freebsd_i386),
	F("vm_setup_freebsd_gdt", p_freebsd_gdt),
};
#define	NCOMMITTED	(sizeof(committed) / sizeof(committed[0]))

/* The constants that loaders compile in. */
_Static_assert(VMMAPI_VERSION == 0200, "version of the interface, written as an octal number");
_Static_assert(VM_MEM_F_INCORE == 0x01 && VM_MEM_F_WIRED == 0x02, "memory flags");
_Static_assert(VMMAPI_OPEN_CREATE == 1 && VMMAPI_OPEN_REINIT == 2 && VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE == 4,
    "open flags");
_Static_assert(VM_MMAP_NONE == 0 && VM_MMAP_ALL == 1 && VM_MMAP_SPARSE == 2, "styles");
_Static_assert(VM_SYSMEM == 0 && VM_BOOTROM == 8, "segments");
_Static_assert(VM_CAP_HALT_EXIT == 0 && VM_CAP_UNRESTRICTED_GUEST == 2, "capabilities");
_Static_assert(VM_AMD64_REG_RAX == 0x100 && VM_AMD64_REG_RIP == 0x110 && VM_AMD64_REG_RFLAGS == 0x111 &&
    VM_AMD64_REG_CR0 == 0x112 && VM_AMD64_REG_EFER == 0x11d && VM_AMD64_REG_ES == 0x11e && VM_AMD64_REG_GDTR == 0x127,
    "numbers of registers are in programs that were compiled long ago");
_Static_assert(sizeof(vm_paddr_t) == 8 && sizeof(vm_ooffset_t) == 8, "addresses");

TEST(committed_functions_have_their_version)
{
	read_library();
	CHECK_EQ(NCOMMITTED, 25);
	for (size_t i = 0; i < NCOMMITTED; i++) {
		const char *version = NULL;

		for (size_t j = 0; j < nsymbols; j++) {
			if (strcmp(symbols[j].name, committed[i].name) == 0)
				version = symbols[j].version;
		}
		CHECKF(version != NULL, "%s is not exported", committed[i].name);
		CHECKF(strcmp(version, "VMMAPI_0200") == 0, "%s has version %s", committed[i].name, version);
		CHECKF(dlvsym(RTLD_DEFAULT, committed[i].name, "VMMAPI_0200") ==
		    *(void *const *)(const void *)committed[i].fn,
		    "%s@VMMAPI_0200 is not what programs are linked with", committed[i].name);
	}
	free(symbols);
}

TEST(nothing_else_is_exported)
{
	unsigned n = 0;

	read_library();
	for (size_t i = 0; i < nsymbols; i++) {
		bool is_committed = false;

		for (size_t j = 0; j < NCOMMITTED; j++)
			is_committed |= strcmp(symbols[i].name, committed[j].name) == 0;
		CHECKF(strncmp(symbols[i].name, "vm_", 3) == 0 || strncmp(symbols[i].name, "vcpu_", 5) == 0,
		    "%s is exported", symbols[i].name);
		CHECKF(strcmp(symbols[i].version, is_committed ? "VMMAPI_0200" : "VMMAPI_HYVE") == 0,
		    "%s is exported with version '%s'", symbols[i].name, symbols[i].version);
		n++;
	}
	CHECK(n > NCOMMITTED + 50);
	free(symbols);
}

/* Internal objects of the library are not the programs'. */
TEST(internals_are_hidden)
{
	CHECK(dlsym(RTLD_DEFAULT, "md_lookup") == NULL);
	CHECK(dlsym(RTLD_DEFAULT, "vm_fail") == NULL);
	CHECK(dlsym(RTLD_DEFAULT, "vm_grace") == NULL);
	CHECK(dlsym(RTLD_DEFAULT, "accel_soft") == NULL);
}

/* What vm_open() and friends were given in the first version of the interface. */
TEST(number_spaces_are_disjoint)
{
	CHECK((int)VM_AMD64_REG_LAST < (int)VM_ARM64_REG_FIRST);
	CHECK(VM_CAP_BREAK_EXIT < VM_CAP_MD_FIRST);
	CHECK((int)VM_AMD64_CAP_RFLAGS_TF < (int)VM_CAP_MAX);
}
