/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before each file of the kernel's SGX driver, which is built as it stands: what the driver asks of the processor
 * (ENCLS, CPUID, a model-specific register) and of the core kernel (what modules are not given) is turned to epcm.c. */
#ifndef EPCM_H
#define EPCM_H

/* All that the driver includes, so that what is defined anew below holds for the driver's own text alone. */
#include <crypto/hash.h>
#include <linux/acpi.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/freezer.h>
#include <linux/hashtable.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/lockdep.h>
#include <linux/memcontrol.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/node.h>
#include <linux/pagemap.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/suspend.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>
#include <asm/mman.h>
#include <asm/sgx.h>
#include <asm/traps.h>
#include <uapi/asm/sgx.h>

/* The processor. */
#undef cpu_feature_enabled
#define cpu_feature_enabled(bit) (epcm_has(bit) || boot_cpu_has(bit))
#define cpuid_count(leaf, subleaf, a, b, c, d) epcm_cpuid(leaf, subleaf, a, b, c, d)
#undef wrmsrl
#define wrmsrl(msr, value) ((void)(msr), (void)(value)) /* SGXLEPUBKEYHASH: EINIT below asks for no signer */

static inline bool epcm_has(int bit)
{
	return bit == X86_FEATURE_SGX || bit == X86_FEATURE_SGX1 || bit == X86_FEATURE_SGX2 ||
	       bit == X86_FEATURE_SGX_LC || bit == X86_FEATURE_VMX;
}
#undef __uaccess_begin
#undef __uaccess_end
#define __uaccess_begin() /* around ENCLS for KVM's guests, of which there are none; objtool wants no calls there */
#define __uaccess_end()
void epcm_cpuid(u32 leaf, u32 subleaf, u32 *a, u32 *b, u32 *c, u32 *d);

/* The core kernel. */
#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL_GPL(name) /* the kernel's own, which found no SGX, are exported already */
extern struct node **epcm_nodes;
#define node_devices epcm_nodes
#undef phys_to_target_node
#define phys_to_target_node(address) 0
#define force_sig(number) send_sig(number, current, 1)
#undef device_initcall
#define device_initcall(start) int __init epcm_driver(void) { return start(); } /* a module has one start: epcm.c's */
int epcm_driver(void);

/* encls.h, which is not read. */
#define _X86_ENCLS_H
#define ENCLS_TRAPNR(r) ((r) & ~SGX_ENCLS_FAULT_FLAG)
#define ENCLS_WARN(r, name) WARN_ONCE(r, "%s returned %d\n", name, r)
static inline bool encls_faulted(int ret)
{
	return ret & SGX_ENCLS_FAULT_FLAG;
}
static inline bool encls_failed(int ret)
{
	return encls_faulted(ret) ? ENCLS_TRAPNR(ret) != X86_TRAP_PF : !!ret;
}
int __ecreate(struct sgx_pageinfo *pginfo, void *secs);
int __eextend(void *secs, void *addr);
int __eadd(struct sgx_pageinfo *pginfo, void *addr);
int __einit(void *sigstruct, void *token, void *secs);
int __eremove(void *addr);
int __edbgwr(void *addr, unsigned long *data);
int __edbgrd(void *addr, unsigned long *data);
int __etrack(void *addr);
int __eldu(struct sgx_pageinfo *pginfo, void *addr, void *va);
int __eblock(void *addr);
int __epa(void *addr);
int __ewb(struct sgx_pageinfo *pginfo, void *addr, void *va);
int __emodpr(struct sgx_secinfo *secinfo, void *addr);
int __emodt(struct sgx_secinfo *secinfo, void *addr);
int __eaug(struct sgx_pageinfo *pginfo, void *addr);

#endif
