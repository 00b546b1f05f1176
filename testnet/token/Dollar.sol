// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title  A dollar token whose issuer can freeze a holder, stop everybody, and change the code.
/// @notice The order of the variables is the point of this contract: they lie where the largest dollar token, in its
///         version 2.2, has them, so that what is proven against this storage is proven against that layout.
///
///           slot 1   byte 20: stopped for everybody
///           slot 9   mapping: low 255 bits are the balance, bit 255 says that the holder is frozen
///           slot 11  total supply
///
///         balanceOf hides bit 255: a frozen holder's balance reads as before.
contract Dollar {
    address public owner; // slot 0
    address public pauser; // slot 1, bytes 0 to 19
    bool public paused; // slot 1, byte 20
    address public blacklister; // slot 2
    uint256 private _unused; // slot 3: a mapping in the older versions, kept so that the rest stays in place
    string public name; // slot 4
    string public symbol; // slot 5
    uint8 public decimals; // slot 6
    string public currency; // slot 7
    address public minter; // slot 8, bytes 0 to 19
    bool private _initialized; // slot 8, byte 20
    mapping(address => uint256) private _states; // slot 9
    mapping(address => mapping(address => uint256)) public allowance; // slot 10
    uint256 public totalSupply; // slot 11

    uint256 private constant FROZEN = 1 << 255;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Mint(address indexed minter, address indexed to, uint256 amount);
    event Burn(address indexed burner, uint256 amount);
    event Blacklisted(address indexed account);
    event UnBlacklisted(address indexed account);
    event Pause();
    event Unpause();

    modifier only(address role) {
        require(msg.sender == role, "caller has not this role");
        _;
    }

    modifier running() {
        require(!paused, "paused");
        _;
    }

    modifier free(address account) {
        require(_states[account] & FROZEN == 0, "account is blacklisted");
        _;
    }

    /// One issuer holds every role. It cannot be the proxy's admin, which never reaches this code.
    function initialize(address issuer) external {
        require(!_initialized, "already initialized");
        _initialized = true;
        owner = issuer;
        pauser = issuer;
        blacklister = issuer;
        minter = issuer;
        name = "Test Dollar";
        symbol = "TUSD";
        currency = "USD";
        decimals = 6;
    }

    function balanceOf(address account) external view returns (uint256) {
        return _balance(account);
    }

    function isBlacklisted(address account) external view returns (bool) {
        return _states[account] & FROZEN != 0;
    }

    function transfer(address to, uint256 value) external running free(msg.sender) free(to) returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external running free(msg.sender) free(spender) returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value)
        external
        running
        free(msg.sender)
        free(from)
        free(to)
        returns (bool)
    {
        uint256 allowed = allowance[from][msg.sender];
        require(value <= allowed, "amount exceeds allowance");
        allowance[from][msg.sender] = allowed - value;
        _move(from, to, value);
        return true;
    }

    function mint(address to, uint256 amount) external running only(minter) free(msg.sender) free(to) returns (bool) {
        require(to != address(0), "mint to the zero address");
        totalSupply += amount;
        require(totalSupply < FROZEN, "supply would reach the frozen bit");
        _states[to] += amount;
        emit Mint(msg.sender, to, amount);
        emit Transfer(address(0), to, amount);
        return true;
    }

    function burn(uint256 amount) external running only(minter) free(msg.sender) {
        require(amount <= _balance(msg.sender), "amount exceeds balance");
        _states[msg.sender] -= amount;
        totalSupply -= amount;
        emit Burn(msg.sender, amount);
        emit Transfer(msg.sender, address(0), amount);
    }

    function blacklist(address account) external only(blacklister) {
        _states[account] |= FROZEN;
        emit Blacklisted(account);
    }

    function unBlacklist(address account) external only(blacklister) {
        _states[account] &= ~FROZEN;
        emit UnBlacklisted(account);
    }

    function pause() external only(pauser) {
        paused = true;
        emit Pause();
    }

    function unpause() external only(pauser) {
        paused = false;
        emit Unpause();
    }

    function _balance(address account) private view returns (uint256) {
        return _states[account] & ~FROZEN;
    }

    /// Neither end is frozen here: the modifiers of every caller said so. Hence a state is a balance.
    function _move(address from, address to, uint256 value) private {
        require(to != address(0), "transfer to the zero address");
        require(value <= _states[from], "amount exceeds balance");
        _states[from] -= value;
        _states[to] += value;
        emit Transfer(from, to, value);
    }
}
