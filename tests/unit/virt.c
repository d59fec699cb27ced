/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt.c - the arm64 machine: its devicetree, what is where it says, and a guest that starts in it.
 */
#include <libfdt.h>
#include <unistd.h>
#include <vmmapi/arm64.h>

#include "boot_files.h"
#include "machine/parts.h"
#include "machine/virt.h"
#include "newvm.h"
#include "vmm_fixture.h"

struct vx {
	struct fx	 fx;		/* its log, vmm and configuration */
	struct vcpu	*vcpu[VM_MAXCPU];
	struct machine	 m;
	struct dt_blob	 tree;
};

static void
vx_set(struct vx *v, const char *name, const char *value)
{
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };

	CHECKF(config_set(v->fx.vmm.config, name, value, &origin) == 0, "%s", vmm_errmsg());
}

/* Configuration and VM; the machine is not made yet. */
static void
vx_prepare(struct vx *v, const char *cpus)
{
	memset(v, 0, sizeof(*v));
	v->fx.vmm.loop = event_loop_new();
	v->fx.vmm.log = log_new(fx_log, &v->fx);
	v->fx.vmm.config = config_new();
	CHECK(v->fx.vmm.loop != NULL && v->fx.vmm.log != NULL && v->fx.vmm.config != NULL);
	CHECK_EQ(config_declare(v->fx.vmm.config, "", &config_global_keys), 0);
	CHECK_EQ(machine_declare(v->fx.vmm.config), 0);
	vx_set(v, "arch", "arm64");
	vx_set(v, "accel", "soft");
	vx_set(v, "cpus", cpus);
	v->m = (struct machine){ .cls = machine_find(VM_ARCH_ARM64), .vmm = &v->fx.vmm, .ncpus = (unsigned)atoi(cpus), .vcpus = v->vcpu };
	CHECK(v->m.cls == &machine_virt);
}

static int
vx_make(struct vx *v)
{
	CHECKF(config_check(v->fx.vmm.config) == 0, "%s", vmm_errmsg());
	v->fx.vmm.vm = vmm_new_vm(v->fx.vmm.config, v->m.cls->layout, true);
	CHECKF(v->fx.vmm.vm != NULL, "%s", vmm_errmsg());
	for (unsigned i = 0; i < v->m.ncpus; i++) {
		v->vcpu[i] = vm_vcpu_open(v->fx.vmm.vm, (int)i);
		CHECK(v->vcpu[i] != NULL);
	}
	return (v->m.cls->init(&v->m));
}

static void
vx_open(struct vx *v, const char *cpus)
{
	vx_prepare(v, cpus);
	vx_set(v, "pci.0.5.0.device", "virtio-rnd");
	CHECKF(vx_make(v) == 0, "%s", vmm_errmsg());
	CHECKF(virt_fdt(&v->m, &v->tree) == 0, "%s", vmm_errmsg());
	CHECK_EQ(fdt_check_full(v->tree.data, v->tree.len), 0);
}

static void
vx_close(struct vx *v)
{
	dt_free(&v->tree);
	v->m.cls->fini(&v->m);
	for (unsigned i = 0; i < v->m.ncpus; i++)
		vm_vcpu_close(v->vcpu[i]);
	vm_close(v->fx.vmm.vm);
	config_free(v->fx.vmm.config);
	event_loop_free(v->fx.vmm.loop);
	log_free(v->fx.vmm.log);
}

static int
node(struct vx *v, const char *path)
{
	int n = fdt_path_offset(v->tree.data, path);

	CHECKF(n >= 0, "%s: %s", path, fdt_strerror(n));
	return (n);
}

/* The n-th cell of a property. */
static uint32_t
cell(struct vx *v, const char *path, const char *name, unsigned n)
{
	int len;
	const fdt32_t *p = fdt_getprop(v->tree.data, node(v, path), name, &len);

	CHECKF(p != NULL && len >= 4 * (int)(n + 1), "%s: no %s of %u cells", path, name, n + 1);
	return (fdt32_ld(p + n));
}

static uint64_t
cells(struct vx *v, const char *path, const char *name, unsigned n)
{
	return ((uint64_t)cell(v, path, name, n) << 32 | cell(v, path, name, n + 1));
}

static const char *
text(struct vx *v, const char *path, const char *name)
{
	const char *p = fdt_getprop(v->tree.data, node(v, path), name, NULL);

	CHECKF(p != NULL, "%s: no %s", path, name);
	return (p);
}

static bool
has(struct vx *v, const char *path, const char *name)
{
	return (fdt_getprop(v->tree.data, node(v, path), name, NULL) != NULL);
}

TEST(processors)
{
	static const char *const counts[] = { "1", "2", "8", "64" };
	struct vx v;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned n = 0;
		int cpu;

		vx_open(&v, counts[i]);
		fdt_for_each_subnode(cpu, v.tree.data, node(&v, "/cpus")) {
			const fdt32_t *reg = fdt_getprop(v.tree.data, cpu, "reg", NULL);

			/* Sixteen to a cluster. */
			CHECK_EQ(fdt32_ld(reg), (n & 15) | n >> 4 << 8);
			CHECK_STR((const char *)fdt_getprop(v.tree.data, cpu, "enable-method", NULL), "psci");
			n++;
		}
		CHECK_EQ(n, v.m.ncpus);
		CHECK_STR(text(&v, "/psci", "method"), "hvc");
		vx_close(&v);
	}
}

TEST(memory_and_controllers)
{
	struct vx v;

	vx_open(&v, "2");
	CHECK_EQ(cells(&v, "/memory@40000000", "reg", 0), 0x40000000);
	CHECK_EQ(cells(&v, "/memory@40000000", "reg", 2), 256 << 20);
	CHECK_EQ(cells(&v, "/interrupt-controller@8000000", "reg", 0), 0x08000000);
	CHECK_EQ(cells(&v, "/interrupt-controller@8000000", "reg", 4), 0x080a0000);
	/* Redistributors end where the serial port begins. */
	CHECK_EQ(cells(&v, "/interrupt-controller@8000000", "reg", 6), 0x09000000 - 0x080a0000);
	CHECK_EQ(cell(&v, "/", "interrupt-parent", 0), cell(&v, "/interrupt-controller@8000000", "phandle", 0));
	CHECK_EQ(cells(&v, "/interrupt-controller@8000000/msi-controller@8080000", "reg", 0), 0x08080000);
	CHECK_EQ(cell(&v, "/pcie@4010000000", "msi-map", 1),
	    cell(&v, "/interrupt-controller@8000000/msi-controller@8080000", "phandle", 0));
	vx_close(&v);
}

/* Devices are told with what they say about themselves, and are where the tree says. */
TEST(devices)
{
	static const struct { const char *path; uint64_t at; uint32_t spi, part; } t[] = {
		{ "/serial@9000000", 0x09000000, 1, 0x11 }, { "/rtc@9010000", 0x09010000, 2, 0x31 },
		{ "/gpio@9030000", 0x09030000, 7, 0x61 },
	};
	struct vx v;
	char path[80];

	vx_open(&v, "1");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *compatible = text(&v, t[i].path, "compatible");

		CHECK_STR(compatible + strlen(compatible) + 1, "arm,primecell");
		CHECK_EQ(cells(&v, t[i].path, "reg", 0), t[i].at);
		CHECK_EQ(cells(&v, t[i].path, "reg", 2), 0x1000);
		CHECK_EQ(cell(&v, t[i].path, "interrupts", 0), 0);
		CHECK_EQ(cell(&v, t[i].path, "interrupts", 1), t[i].spi);
		CHECK_EQ(cell(&v, t[i].path, "interrupts", 2), 4);
		CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, t[i].at + 0xfe0, 4), t[i].part);
	}
	CHECK_EQ(cell(&v, "/serial@9000000", "clocks", 1), cell(&v, "/apb-pclk", "phandle", 0));
	CHECK_STR(text(&v, "/serial@9000000", "clock-names"), "uartclk");
	CHECK(has(&v, "/gpio@9030000", "gpio-controller"));
	CHECK_EQ(cell(&v, "/gpio-keys/poweroff", "gpios", 0), cell(&v, "/gpio@9030000", "phandle", 0));
	CHECK_EQ(cell(&v, "/gpio-keys/poweroff", "gpios", 1), 3);
	CHECK_EQ(cell(&v, "/gpio-keys/poweroff", "linux,code", 0), 116);
	(void)snprintf(path, sizeof(path), "%s", text(&v, "/chosen", "stdout-path"));
	CHECK_STR(text(&v, path, "compatible"), "arm,pl011");
	vx_close(&v);
}

TEST(seeds_are_new_each_time)
{
	struct vx a, b;

	vx_open(&a, "1");
	vx_open(&b, "1");
	CHECK(cells(&a, "/chosen", "kaslr-seed", 0) != cells(&b, "/chosen", "kaslr-seed", 0));
	CHECK(cells(&a, "/chosen", "rng-seed", 14) != cells(&b, "/chosen", "rng-seed", 14));
	CHECK_EQ(memcmp(&a.m.ncpus, &b.m.ncpus, sizeof(a.m.ncpus)), 0);
	vx_close(&b);
	vx_close(&a);
}

/* Pins are swizzled over four lines; the device's own line agrees with the tree. */
TEST(pci)
{
	const char *pcie = "/pcie@4010000000";
	struct vm_irq_info info;
	struct vx v;

	vx_open(&v, "1");
	CHECK_EQ(cells(&v, pcie, "reg", 0), 0x4010000000);
	CHECK_EQ(cells(&v, pcie, "reg", 2), 256 << 20);
	CHECK_EQ(cell(&v, pcie, "interrupt-map-mask", 0), 0x1800);
	CHECK_EQ(cell(&v, pcie, "interrupt-map-mask", 3), 7);
	for (unsigned slot = 0; slot < 4; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			unsigned at = (4 * slot + pin) * 10;

			CHECK_EQ(cell(&v, pcie, "interrupt-map", at), slot << 11);
			CHECK_EQ(cell(&v, pcie, "interrupt-map", at + 3), pin + 1);
			CHECK_EQ(cell(&v, pcie, "interrupt-map", at + 4), cell(&v, "/", "interrupt-parent", 0));
			CHECK_EQ(cell(&v, pcie, "interrupt-map", at + 7), 0);
			CHECK_EQ(cell(&v, pcie, "interrupt-map", at + 8), 3 + (slot + pin) % 4);
		}
	}
	CHECK_EQ(vm_irq_get_info(device_lookup(&v.fx.vmm, "pci.0.5.0")->place.irq[0], &info), 0);
	CHECK_EQ(info.line, 3 + 5 % 4);
	/* Ports, and memory of both kinds, as functions are given it. */
	CHECK_EQ(cell(&v, pcie, "ranges", 0), 0x01000000);
	CHECK_EQ(cells(&v, pcie, "ranges", 3), 0x3eff0000);
	CHECK_EQ(cell(&v, pcie, "ranges", 7), 0x02000000);
	CHECK_EQ(cells(&v, pcie, "ranges", 10), 0x10000000);
	CHECK_EQ(cells(&v, pcie, "ranges", 12), 0x3eff0000 - 0x10000000);
	CHECK_EQ(cell(&v, pcie, "ranges", 14), 0x03000000);
	CHECK_EQ(cells(&v, pcie, "ranges", 17), 0x8000000000);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0x4010000000, 4), 0x00081b36);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0x4010000000 + (5 << 15), 2), 0x1af4);
	vx_close(&v);
}

/* dtc reads it, and finds nothing wrong. */
TEST(compiler_has_no_objection)
{
	char dtb[] = "/tmp/hyve-virt.XXXXXX", command[256], line[512];
	struct vx v;
	FILE *dtc;
	int fd;

	if (system("command -v dtc >/dev/null") != 0)
		SKIP("no dtc here");
	vx_open(&v, "3");
	fd = mkstemp(dtb);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, v.tree.data, v.tree.len), (ssize_t)v.tree.len);
	close(fd);
	(void)snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1", dtb);
	dtc = popen(command, "r");
	CHECK(dtc != NULL);
	line[0] = '\0';
	(void)!fgets(line, sizeof(line), dtc);
	CHECK_EQ(pclose(dtc), 0);
	unlink(dtb);
	CHECKF(line[0] == '\0', "dtc: %s", line);
	vx_close(&v);
}

TEST(slots)
{
	static const char *const bad[] = { "pci.0.0.0.device", "pci.0.32.0.device", "pci.0.01.0.device" };
	struct vx v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vx_prepare(&v, "1");
		vx_set(&v, bad[i], "virtio-rnd");
		CHECK_EQ(vx_make(&v), -1);
		CHECK_HAS(vmm_errmsg(), "PCI slots 1 to 31");
		vx_close(&v);
	}
}

/*
 * A kernel that looks at what it was given: it powers off if X0 is a devicetree and X1 to X3 are zero, else it resets.
 */
static const uint32_t look[] = {
	0xb9400005,				/* ldr	w5, [x0] */
	0x52800006 | 0x0dd0 << 5,		/* movz	w6, #0x0dd0 */
	0x72a00006 | 0xedfeU << 5,		/* movk	w6, #0xedfe, lsl #16: d00dfeed as it is loaded */
	0x4b0600a5,				/* sub	w5, w5, w6 */
	0xaa0100a5, 0xaa0200a5, 0xaa0300a5,	/* orr	x5, x5, x1; x2; x3 */
	0x52800000 | 8 << 5,			/* movz	w0, #8: SYSTEM_OFF */
	0x72a00000 | 0x8400 << 5,		/* movk	w0, #0x8400, lsl #16 */
	0xb4000045,				/* cbz	x5, behind the next */
	0x11000400,				/* add	w0, w0, #1: SYSTEM_RESET */
	0xd4000002,				/* hvc	#0 */
};

TEST(a_kernel_starts)
{
	struct boot_spec spec = { .cmdline = "" };
	const struct boot_protocol *protocol;
	struct vm_exit exit;
	struct vx v;
	struct bf f;

	for (int raw = 0; raw < 2; raw++) {
		vx_open(&v, "1");
		bf_image(&f, true, look, sizeof(look));
		spec.kernel = raw ? (struct boot_file){ .path = "raw", .data = (const uint8_t *)look, .len = sizeof(look) } :
		    (struct boot_file){ .path = "Image", .data = f.d, .len = f.len };
		spec.protocol = raw ? &boot_raw_arm64 : NULL;
		CHECKF(v.m.cls->boot(&v.m, &spec, &protocol) == 0, "%s", vmm_errmsg());
		CHECK(protocol == (raw ? &boot_raw_arm64 : &boot_linux_arm64));
		CHECKF(vm_start(v.fx.vmm.vm) == 0, "%s", vm_errmsg());
		devices_resume(&v.fx.vmm);
		do {
			CHECKF(vm_run(v.vcpu[0], &exit) == 0, "%s", vm_errmsg());
		} while (exit.code != VM_EXIT_SUSPENDED);
		CHECK_EQ(exit.u.suspended.how, VM_SUSPEND_POWEROFF);
		vx_close(&v);
	}
}

TEST(power_button)
{
	struct vx v;

	vx_open(&v, "1");
	CHECKF(vm_start(v.fx.vmm.vm) == 0, "%s", vm_errmsg());
	devices_resume(&v.fx.vmm);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0x090303fc, 4), 0);
	v.m.cls->power_button(&v.m);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0x090303fc, 4), 8);
	vx_close(&v);
}

TEST_MAIN()
