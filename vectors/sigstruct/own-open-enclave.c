// Our own stand-in for an enclave of Open Enclave: what its loader reads, writes and measures of a file, and nothing that runs.
// cc -O1 -fPIC -shared -nostdlib -fno-builtin -fno-stack-protector -Wl,-z,noseparate-code,-z,max-page-size=4096,--build-id=none,--hash-style=gnu,-e,_start -s
typedef unsigned long u64;
struct properties {
    unsigned size, type;
    u64 heap_pages, stack_pages, threads;
    unsigned short product, version;
    unsigned flags;
    unsigned char family[16], extended[16];
    u64 attributes, xfrm, start;
    u64 image[6];
    unsigned char sigstruct[1808];
    u64 end;
};
__attribute__((section(".oeinfo"))) volatile const struct properties oe_enclave_properties_sgx = {
    .size = sizeof(struct properties), .type = 2, .heap_pages = 16, .stack_pages = 2, .threads = 3, .product = 7, .version = 4,
    .attributes = 4, .end = 0xecececececececec};
volatile u64 _enclave_rva, _reloc_rva = 1, _reloc_size, _tdata_rva = 1, _tdata_size, _tdata_align, _tbss_size, _tbss_align;
volatile u64 _td_from_tcs_offset;
__attribute__((tls_model("initial-exec"))) __thread u64 kept[40] = {1, 2, 3};
__attribute__((tls_model("initial-exec"))) __thread char scratch[5000];
static const char* const words[] = {"one", "two", "three"};
const char* volatile* word = (const char* volatile*)&words[1];
void _start(void) { kept[1] += scratch[7] + (u64)word[_enclave_rva]; }
