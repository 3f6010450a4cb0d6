int data[3000] = {1,2,3}; int bss[5000]; const char text[] = "stand-in for libpal.so";
int helper(int x) { return data[x % 3000] + bss[x % 5000] + text[0]; }
void enclave_entry(void) { bss[0] = helper(7); for(;;); }
